// exp(-a), and log(1 + exp(-a)) from it, in three precisions: float32 in pairs of float32, float32
// in double, float64 in pairs of doubles. Coefficients: scripts/coefficients.py.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "arithmetic.hpp"

namespace logloss::LOGLOSS_LEVEL {

inline constexpr double kLn2 = 0x1.62e42fefa39efp-1;
// ln 2 in two parts; the first ends in 17 zero bits, so n·kLn2High is exact for |n| < 2^11.
inline constexpr double kLn2High = 0x1.62e42fefap-1;
inline constexpr double kLn2Low = 0x1.cf79abc9e3b39p-40;
inline constexpr double kInverseLn2 = 0x1.71547652b82fep0;
// Adding this rounds to an integer, which then stands in the low bits of the sum.
inline constexpr double kRounder = 0x1.8p52;

// 2^n for the integer n that stands in the low bits of `shifted`, |n| < 1023.
[[gnu::always_inline]] inline double power_of_two(double shifted) {
  return std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) + 1023) << 52);
}

// ------------------------------------------------------------------------------------ float32

// exp(-a), a >= 0, to 2^-26; NaN stays NaN. With n = a/ln2, rounded, and u = n·ln2 - a: exp(u) is
// 1 + u + u²·q(u), q of degree 4 (scripts/coefficients.py). n reaches 151, beyond which every
// result has rounded to 0; powers of two below the smallest normal number take two steps, and the
// sum is rounded once more where it is subnormal.
[[gnu::always_inline]] inline Parts<float> exp_negative(float a) {
  const float x = a > 105.0f ? 105.0f : a;
  const float shifted = fused_exactly(x, 0x1.715476p0f, 0x1.8p23f);
  const float n = shifted - 0x1.8p23f;
  const float above = fused_exactly(n, 0x1.62e4p-1f, -x);  // exact: ln2 to 16 bits
  const float u = fused_exactly(n, 0x1.7f7d1cp-20f, above);
  const float u_low = fused_exactly(n, 0x1.7f7d1cp-20f, above - u);
  float q = 0x1.6d10fcp-10f;
  q = fused_exactly(q, u, 0x1.120b62p-7f);
  q = fused_exactly(q, u, 0x1.55551ap-5f);
  q = fused_exactly(q, u, 0x1.5554dep-3f);
  q = fused_exactly(q, u, 0.5f);
  const float square = u * u;
  const float s = fused_exactly(square, q, u);
  const float s_low = fused_exactly(square, q, u - s) + u_low;
  const std::uint32_t lower = std::bit_cast<std::uint32_t>(shifted) << 23;
  const float larger = std::bit_cast<float>((std::uint32_t{127 + 24} << 23) - lower);  // 2^(24-n)
  const float power = larger * 0x1p-24f;
  const float high = fused_exactly(s, power, power);
  return {high, fused_exactly(s_low, power, fused_exactly(s, power, power - high))};
}

// (linear + log1p(e)) to 0.9 ulp, for the e of a >= 0 and linear >= 0.
// Up to a = 0.85, where log1p(e) has lost what a knows: ln2 - a/2 + a²·g(a²), the even part being
// log(cosh(a/2)). Beyond: e + e²·w(e), e <= 0.43. The large terms are added exactly, the small
// rest last.
[[gnu::always_inline]] inline float add_log1p(float linear, float a, Parts<float> e) {
  float w = -0x1.3fe01p-5f;
  w = fused_exactly(w, e.high, 0x1.a97456p-4f);
  w = fused_exactly(w, e.high, -0x1.40d724p-3f);
  w = fused_exactly(w, e.high, 0x1.96bda8p-3f);
  w = fused_exactly(w, e.high, -0x1.ffcddep-3f);
  w = fused_exactly(w, e.high, 0x1.5554aep-2f);
  w = fused_exactly(w, e.high, -0.5f);
  const float bend = e.high * w;
  const float far = fused_exactly(e.high, bend, fused_exactly(e.low, bend, e.low));
  const float square = a * a;
  float g = -0x1.8a5fc8p-16f;
  g = fused_exactly(g, square, 0x1.6ac69cp-12f);
  g = fused_exactly(g, square, -0x1.555254p-8f);
  g = fused_exactly(g, square, 0x1.fffffep-4f);
  const float near = fused_exactly(square, g, -0x1.05c61p-29f);  // ln2 = 0x1.62e43p-1 less this
  const bool small = a < 0.85f;
  const Parts<float> sum =
      ordered_sum(small ? 0x1.62e43p-1f : linear, small ? fused_exactly(-0.5f, a, linear) : e.high);
  const float rest = sum.low + (small ? near : far);
  return sum.high + (sum.high == std::numeric_limits<float>::infinity() ? 0.0f : rest);
}

// ------------------------------------------------------------------------- float32, in double
//
// What is not asked of ten million rows at a time: computed in double to 2^-33, rounded once.

// exp(-a), a >= 0, to 2^-34; NaN stays NaN. Beyond 110 every float32 result has rounded to 0.
// Coefficients: scripts/coefficients.py, degree 7 on |r| <= ln2/2.
[[gnu::always_inline]] inline double exp_short(double a) {
  const double x = a > 110.0 ? -110.0 : -a;
  const double shifted = fused_exactly(x, kInverseLn2, kRounder);
  const double n = shifted - kRounder;
  const double r = fused_exactly(-n, kLn2, x);
  double p = 0x1.a17df2ec2bc60p-13;
  p = fused_exactly(p, r, 0x1.6da753185ad01p-10);
  p = fused_exactly(p, r, 0x1.1110a6222ea35p-7);
  p = fused_exactly(p, r, 0x1.555464a0f079ep-5);
  p = fused_exactly(p, r, 0x1.5555557e7125ep-3);
  p = fused_exactly(p, r, 0x1.0000005c89e4ep-1);
  p = fused_exactly(p, r, 0x1.fffffffff61fdp-1);
  p = fused_exactly(p, r, 0x1.ffffffffa7135p-1);
  return p * power_of_two(shifted);
}

// log1p(e) for 0 <= e <= 1, to 2^-35, without a division.
// Coefficients: scripts/coefficients.py, log1p(e)/e of degree 12 in e.
[[gnu::always_inline]] inline double log1p_short(double e) {
  double p = 0x1.a0d0de7fa0aeap-11;
  p = fused_exactly(p, e, -0x1.8cc7aa9740b75p-8);
  p = fused_exactly(p, e, 0x1.62447f9e11576p-6);
  p = fused_exactly(p, e, -0x1.923f3d450e431p-5);
  p = fused_exactly(p, e, 0x1.5065a177b9a83p-4);
  p = fused_exactly(p, e, -0x1.cd9fcac54f9c7p-4);
  p = fused_exactly(p, e, 0x1.1cdfb9f191c54p-3);
  p = fused_exactly(p, e, -0x1.53b4260c5cffcp-3);
  p = fused_exactly(p, e, 0x1.995f95ec7abe6p-3);
  p = fused_exactly(p, e, -0x1.fffb1dd16699bp-3);
  p = fused_exactly(p, e, 0x1.5555399fff040p-2);
  p = fused_exactly(p, e, -0x1.ffffff83090a7p-2);
  p = fused_exactly(p, e, 0x1.ffffffffd0cdcp-1);
  return e * p;
}

// ------------------------------------------------------------------------------------ float64

// exp(-a), a >= 0, to 2^-57; results below the normal range are rounded to high alone.
// exp(r) = 1 + r + r²·q(r), Taylor's series to r^13 with a remainder below 2^-57.
[[gnu::always_inline]] inline Pair exp_negative_pair(double a) {
  const double x = a > 746.0 ? -746.0 : -a;  // exp(-746) rounds to 0
  const double n = (x * kInverseLn2 + kRounder) - kRounder;
  const double high = fused(-n, kLn2High, x);  // exact
  const double low = n * kLn2Low;
  const double r = high - low;
  const double r_low = (high - r) - low;
  double q = 1.0 / 6227020800;
  q = fused(q, r, 1.0 / 479001600);
  q = fused(q, r, 1.0 / 39916800);
  q = fused(q, r, 1.0 / 3628800);
  q = fused(q, r, 1.0 / 362880);
  q = fused(q, r, 1.0 / 40320);
  q = fused(q, r, 1.0 / 5040);
  q = fused(q, r, 1.0 / 720);
  q = fused(q, r, 1.0 / 120);
  q = fused(q, r, 1.0 / 24);
  q = fused(q, r, 1.0 / 6);
  q = fused(q, r, 0.5);
  const Pair p = ordered_sum(r, fused(r * r, q, r_low));
  const Pair m = ordered_sum(1.0, p.high);
  // n in two halves, so that each power of two is a normal number down to exp(-745)
  const double first = n * 0.5 + kRounder;
  const double second = (n - (first - kRounder)) + kRounder;
  const double one = power_of_two(first), two = power_of_two(second);
  return {m.high * one * two, (m.low + p.low) * one * two};
}

// linear + log1p(e) for linear >= 0 and 0 <= e <= 1, to 0.8 ulp.
// log1p(e) is log1p(f), or ln2 + log1p(f) with f = (e - 1)/2, exact, from ½ on. With
// s = f/(2 + f): log1p(f) = f - (f²/2 - s·(f²/2 + R)), R = 2s²/3 + 2s⁴/5 + …, |s| <= 1/5, whose
// terms up to s^24 leave a remainder below 2^-60. Only f, ln2 and `linear` are large: they are
// added exactly, the small rest last.
[[gnu::always_inline]] inline double add_log1p_unit(double linear, Pair e) {
  const bool large = e.high >= 0.5;
  const double f = large ? (e.high - 1.0) * 0.5 : e.high;
  const double s = f / (2.0 + f);
  const double square = s * s;
  double series = 2.0 / 25;
  series = fused(series, square, 2.0 / 23);
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
  // 1/(1 + e) to 2 %, which is all that a term below half an ulp needs
  const double slope = fused(fused(0.33, e.high, -0.83), e.high, 1.0);
  const double small = fused(s, fused(series, square, half), fused(e.low, slope, -half));
  const Pair main = ordered_sum(large ? kLn2High : 0.0, f);
  const double rest = main.low + (large ? small + kLn2Low : small);
  const double sum = linear + main.high;
  const double taken = sum - linear;
  const double error = (linear - (sum - taken)) + (main.high - taken);
  return sum + (sum == kInfinity ? 0.0 : error + rest);
}

}  // namespace logloss::LOGLOSS_LEVEL
