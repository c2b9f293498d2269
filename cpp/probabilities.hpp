// Losses from probabilities: one logarithm, of p or of 1 - p, none of whose digits are dropped.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "exponentials.hpp"

namespace logloss::LOGLOSS_LEVEL {

// -log p where `one`, else -log(1 - p), to 0.9 ulp; infinite where the argument is 0. That is
// m·2^k with √½ <= m < √2, and log(1 + f) = f + f²·w(f) for f = m - 1, which is exact also where
// 1 - p is not. Coefficients: scripts/coefficients.py.
[[gnu::always_inline]] inline float surprise(bool one, float p) {
  constexpr std::uint32_t kRootHalf = 0x3f3504f3, kOne = 0x3f800000, kFraction = 0x007fffff;
  const float u = one ? p : 1.0f - p;
  const bool tiny = u < 0x1p-126f;
  const float safe = u > 0 ? (tiny ? u * 0x1p24f : u) : 1.0f;
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(safe) + (kOne - kRootHalf);
  const std::int32_t exponent = static_cast<std::int32_t>(bits >> 23) - 127;
  const float m = std::bit_cast<float>((bits & kFraction) + kRootHalf);
  const float scale = std::bit_cast<float>(static_cast<std::uint32_t>(127 - exponent) << 23);
  const float f = one ? m - 1.0f : fused_exactly(-p, scale, scale - 1.0f);
  float w = -0x1.3a4ff6p-4f;
  w = fused_exactly(w, f, 0x1.048f72p-3f);
  w = fused_exactly(w, f, -0x1.0cda32p-3f);
  w = fused_exactly(w, f, 0x1.22ea5ap-3f);
  w = fused_exactly(w, f, -0x1.548382p-3f);
  w = fused_exactly(w, f, 0x1.99a012p-3f);
  w = fused_exactly(w, f, -0x1.00020cp-2f);
  w = fused_exactly(w, f, 0x1.555554p-2f);
  w = fused_exactly(w, f, -0x1.fffffep-2f);
  const float k = static_cast<float>(exponent) - (tiny ? 24.0f : 0.0f);
  const Parts<float> main = ordered_sum(k * 0x1.62e4p-1f, f);  // exact: ln2 to 16 bits
  const float rest = fused_exactly(f * f, w, fused_exactly(k, 0x1.7f7d1cp-20f, main.low));
  return u > 0 ? 0.0f - (main.high + rest) : u == 0 ? std::numeric_limits<float>::infinity() : u;
}

// 2·artanh(s)/s for |s| <= 1/3, to 2^-38: a logarithm of (1 + s)/(1 - s) is s times this.
// Coefficients: scripts/coefficients.py, degree 6 in s².
[[gnu::always_inline]] inline double two_artanh(double square) {
  double p = 0x1.bfb4561e8dc48p-3;
  p = fused_exactly(p, square, 0x1.5eab67b0d884cp-3);
  p = fused_exactly(p, square, 0x1.c8cf1b3455de3p-3);
  p = fused_exactly(p, square, 0x1.2489ae158dab2p-2);
  p = fused_exactly(p, square, 0x1.9999c2d1aee49p-2);
  p = fused_exactly(p, square, 0x1.5555553081220p-1);
  p = fused_exactly(p, square, 0x1.0000000002acdp+1);
  return p;
}

// x = m·2^k with √½ <= m < √2, for positive normal x.
struct Scaled {
  double m, k;
};

[[gnu::always_inline]] inline Scaled scaled(double x) {
  constexpr std::uint64_t kRootHalf = 0x3fe6a09e667f3bcd;
  constexpr std::uint64_t kOne = 0x3ff0000000000000;
  constexpr std::uint64_t kFraction = 0x000fffffffffffff;
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(x) + (kOne - kRootHalf);
  // an integer below 2^52 in the low bits of 2^52 converts without an instruction for it
  const double k = std::bit_cast<double>(bits >> 52 | 0x4330000000000000) - (0x1p52 + 1023);
  return {std::bit_cast<double>((bits & kFraction) + kRootHalf), k};
}

// log(x) for positive normal x, to 2^-37; |s| <= 0.1716.
[[gnu::always_inline]] inline double log_short(double x) {
  const Scaled parts = scaled(x);
  const double s = (parts.m - 1.0) / (parts.m + 1.0);
  return fused_exactly(s, two_artanh(s * s), parts.k * kLn2);
}

// log(x + low) for positive x and |low| below an ulp of it, to 0.8 ulp. Terms as in
// add_log1p_unit with |s| <= 0.1716; k·ln2 and f = m - 1 are added exactly.
[[gnu::always_inline]] inline double log_with_tail(double x, double low) {
  const bool subnormal = x < 0x1p-1022;
  const Scaled parts = scaled(subnormal ? x * 0x1p54 : x);
  const double k = subnormal ? parts.k - 54.0 : parts.k;
  const double f = parts.m - 1.0;
  const double s = f / (2.0 + f);
  const double square = s * s;
  double series = 2.0 / 23;
  series = fused(series, square, 2.0 / 21);
  series = fused(series, square, 2.0 / 19);
  series = fused(series, square, 2.0 / 17);
  series = fused(series, square, 2.0 / 15);
  series = fused(series, square, 2.0 / 13);
  series = fused(series, square, 2.0 / 11);
  series = fused(series, square, 2.0 / 9);
  series = fused(series, square, 2.0 / 7);
  series = fused(series, square, 2.0 / 5);
  series = fused(series, square, 2.0 / 3);
  const double half = 0.5 * f * f;
  const double small =
      fused(s, fused(series, square, half), fused(k, kLn2Low, (low == 0 ? 0.0 : low / x) - half));
  const Pair main = ordered_sum(k * kLn2High, f);
  return main.high + (main.low + small);
}

// -log p, and -log(1 - p); infinite at 0 and at 1.
template <class Real>
[[gnu::always_inline]] inline double surprise(double p) {
  const double safe = p > 0 ? p : 1.0;
  const double logarithm =
      sizeof(Real) == sizeof(float) ? log_short(safe) : log_with_tail(safe, 0.0);
  return p > 0 ? 0.0 - logarithm : kInfinity;
}

template <class Real>
[[gnu::always_inline]] inline double surprise_of_other(double p) {
  const double other = 1.0 - p;
  const double safe = other > 0 ? other : 1.0;
  if constexpr (sizeof(Real) == sizeof(float)) {
    // -log1p(-p) = 2·artanh(p/(2 - p)) below ½, where 1 - p would drop digits of p
    const double s = p / (2.0 - p);
    const double logarithm = p < 0.5 ? s * two_artanh(s * s) : 0.0 - log_short(safe);
    return other > 0 ? logarithm : kInfinity;
  } else {
    const double low = (1.0 - other) - p;
    return other > 0 ? 0.0 - log_with_tail(safe, low) : kInfinity;
  }
}

// -A·log p - B·log(1 - p), each logarithm at most `limit` below 0; 0·log 0 is 0, and p = 0 or 1
// on the wrong side is exactly infinite.
template <class Real>
[[gnu::always_inline]] inline double loss_from_probability(double positive, double negative,
                                                           double p, double limit) {
  const double yes = surprise<Real>(p), no = surprise_of_other<Real>(p);
  const double of_positive = positive == 0 ? 0.0 : positive * (yes < limit ? yes : limit);
  const double of_negative = negative == 0 ? 0.0 : negative * (no < limit ? no : limit);
  return p == p ? of_positive + of_negative : p;
}

// The same for a float32 row of any masses; where the label is 0 or 1, as without weights.
[[gnu::always_inline]] inline double loss_from_probability_short(double positive, double negative,
                                                                 double p, double limit) {
  const float single = static_cast<float>(p);
  const bool hard = (positive == 1 && negative == 0) || (positive == 0 && negative == 1);
  const double soft = loss_from_probability<float>(positive, negative, p, limit);
  const double plain = surprise(positive == 1, single);
  return !(hard && single == p) ? soft : plain > limit ? limit : plain;
}

// With respect to p.
[[gnu::always_inline]] inline double derivative_from_probability(double positive, double negative,
                                                                 double p) {
  const double of_positive = positive == 0 ? 0.0 : positive / p;
  const double of_negative = negative == 0 ? 0.0 : negative / (1.0 - p);
  return of_negative - of_positive;
}

// log(p/(1 - p)): 2·atanh(2p - 1) around ½, where the two logarithms would cancel.
template <class Real>
[[gnu::always_inline]] inline double logit(double p) {
  const double s = 2.0 * p - 1.0;
  const double square = s * s;
  double series = 2.0 / 33;
  for (const double term :
       {31.0, 29.0, 27.0, 25.0, 23.0, 21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0}) {
    series = series * square + 2.0 / term;
  }
  const double middle = 2.0 * s + s * square * series;
  const double outer = surprise_of_other<Real>(p) - surprise<Real>(p);
  const double value = std::fabs(s) < 0.32 ? middle : outer;
  return p >= 0 && p <= 1 ? value : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace logloss::LOGLOSS_LEVEL
