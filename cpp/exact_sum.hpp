// Sums that depend on nothing but the terms: ExactSum adds doubles without any error and
// rounds once, so it equals Python's math.fsum whatever the order, the cut and the threads.
//
// A superaccumulator after R. M. Neal, "Fast exact summation using small and large
// superaccumulators" (2015): one long fixed-point number, in 32-bit digits held in 64-bit limbs.
#pragma once

#include <array>
#include <cstdint>

namespace logloss {

class ExactSum {
 public:
  // Digit i counts 2^(32·i + kLowestBit). Doubles end at bit -1074 and start below bit 1024, so
  // 66 digits hold every term and 3 more hold 2^90 of the largest.
  static constexpr int kDigits = 69;
  static constexpr int kLowestBit = -1088;

  // limbs, then how many +inf, -inf and NaN were met
  using State = std::array<std::int64_t, kDigits + 3>;

  void add(double term);
  void add(const ExactSum& other);
  // count·2^exponent, for exponents from kLowestBit up to 900
  void add_units(std::int64_t count, int exponent);

  // The sum, rounded once, half to even; beyond the largest double it is infinite.
  double value() const;

  State state() const;
  static ExactSum from_state(const State& state);

 private:
  void add_bits(std::uint64_t magnitude, int exponent, std::int64_t sign);
  void count_special(double term);
  void carry();
  double rounded() const;

  std::array<std::int64_t, kDigits> limbs_{};
  std::int64_t terms_ = 0;
  std::int64_t positive_infinities_ = 0;
  std::int64_t negative_infinities_ = 0;
  std::int64_t nans_ = 0;
};

}  // namespace logloss
