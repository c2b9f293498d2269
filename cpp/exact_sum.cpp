// Compiled once, for the baseline: what every instruction-set level shares must run on all.
#include "exact_sum.hpp"

#include <bit>
#include <cmath>
#include <limits>

namespace logloss {

namespace {

// A term adds less than 2^32 to a limb, so 2^30 terms cannot overflow one.
constexpr std::int64_t kTermsBetweenCarries = std::int64_t{1} << 30;

}  // namespace

void ExactSum::add(double term) {
  const auto bits = std::bit_cast<std::uint64_t>(term);
  const int exponent = static_cast<int>(bits >> 52 & 0x7ff);
  if (exponent == 0x7ff) {
    count_special(term);
    return;
  }
  std::uint64_t mantissa = bits & ((std::uint64_t{1} << 52) - 1);
  if (exponent != 0) mantissa |= std::uint64_t{1} << 52;
  add_bits(mantissa, (exponent == 0 ? 1 : exponent) - 1075, bits >> 63 ? -1 : 1);
}

void ExactSum::add_units(std::int64_t count, int exponent) {
  const auto bits = static_cast<std::uint64_t>(count);
  add_bits(count < 0 ? 0 - bits : bits, exponent, count < 0 ? -1 : 1);
}

// magnitude·2^exponent, times the sign: three digits of 32 bits
void ExactSum::add_bits(std::uint64_t magnitude, int exponent, std::int64_t sign) {
  const int position = exponent - kLowestBit;
  const int digit = position >> 5;
  const int shift = position & 31;
  const std::uint64_t low = magnitude << shift;  // bits beyond 64 are taken from `high`
  const std::uint64_t high = shift == 0 ? 0 : magnitude >> (64 - shift);
  limbs_[digit] += sign * static_cast<std::int64_t>(low & 0xffffffff);
  limbs_[digit + 1] += sign * static_cast<std::int64_t>(low >> 32);
  limbs_[digit + 2] += sign * static_cast<std::int64_t>(high);
  if (++terms_ >= kTermsBetweenCarries) carry();
}

void ExactSum::add(const ExactSum& other) {
  ExactSum carried = other;
  carried.carry();
  carry();
  for (int i = 0; i < kDigits; ++i) limbs_[i] += carried.limbs_[i];
  positive_infinities_ += other.positive_infinities_;
  negative_infinities_ += other.negative_infinities_;
  nans_ += other.nans_;
  terms_ = 2;
}

// The sum, rounded once, half to even.
double ExactSum::value() const {
  if (nans_ != 0 || (positive_infinities_ != 0 && negative_infinities_ != 0)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (positive_infinities_ != 0) return std::numeric_limits<double>::infinity();
  if (negative_infinities_ != 0) return -std::numeric_limits<double>::infinity();
  ExactSum magnitude = *this;
  magnitude.carry();
  const bool negative = magnitude.limbs_[kDigits - 1] < 0;
  if (negative) {
    for (auto& limb : magnitude.limbs_) limb = -limb;
    magnitude.carry();
  }
  const double rounded = magnitude.rounded();
  return negative ? -rounded : rounded;
}

ExactSum::State ExactSum::state() const {
  ExactSum carried = *this;
  carried.carry();
  State state{};
  for (int i = 0; i < kDigits; ++i) state[i] = carried.limbs_[i];
  state[kDigits] = positive_infinities_;
  state[kDigits + 1] = negative_infinities_;
  state[kDigits + 2] = nans_;
  return state;
}

ExactSum ExactSum::from_state(const State& state) {
  ExactSum sum;
  for (int i = 0; i < kDigits; ++i) sum.limbs_[i] = state[i];
  sum.positive_infinities_ = state[kDigits];
  sum.negative_infinities_ = state[kDigits + 1];
  sum.nans_ = state[kDigits + 2];
  sum.terms_ = 1;
  return sum;
}

// Bring every limb but the highest, which keeps the sign, into [0, 2^32).
void ExactSum::carry() {
  std::int64_t carried = 0;
  for (int i = 0; i < kDigits - 1; ++i) {
    const std::int64_t limb = limbs_[i] + carried;
    carried = limb >> 32;  // arithmetic: rounds towards minus infinity
    limbs_[i] = limb & 0xffffffff;
  }
  limbs_[kDigits - 1] += carried;
  terms_ = 1;
}

// For carried limbs of a sum that is not negative.
double ExactSum::rounded() const {
  int top = kDigits - 1;
  while (top >= 0 && limbs_[top] == 0) --top;
  if (top < 0) return 0.0;
  const auto digit = [this](int i) {
    return i < 0 ? std::uint64_t{0} : static_cast<std::uint64_t>(limbs_[i]);
  };
  // 64 leading bits, and whether anything follows them
  std::uint64_t lead = digit(top) << 32 | digit(top - 1);
  const int shift = std::countl_zero(lead);
  const std::uint64_t next = digit(top - 2);
  bool sticky = false;
  if (shift != 0) {
    lead = lead << shift | next >> (32 - shift);
    sticky = (next << shift & 0xffffffff) != 0;
  } else {
    sticky = next != 0;
  }
  for (int i = top - 3; i >= 0 && !sticky; --i) sticky = limbs_[i] != 0;
  int exponent = 32 * (top - 1) + kLowestBit - shift;  // sum = lead · 2^exponent + …
  // 53 bits are kept, fewer where the result is subnormal
  int dropped = 11;
  if (exponent + dropped < -1074) dropped = -1074 - exponent;
  const std::uint64_t half = std::uint64_t{1} << (dropped - 1);
  const std::uint64_t rest = lead & ((half << 1) - 1);
  std::uint64_t kept = lead >> dropped;
  if (rest > half || (rest == half && (sticky || (kept & 1) != 0))) ++kept;
  return std::ldexp(static_cast<double>(kept), exponent + dropped);
}

void ExactSum::count_special(double term) {
  if (term != term) {
    ++nans_;
  } else if (term > 0) {
    ++positive_infinities_;
  } else {
    ++negative_infinities_;
  }
}

}  // namespace logloss
