// The scalar mathematics of the Bernoulli log loss: one exponential serves the loss, its
// gradient and its Hessian. Branch-free and always inlined, so that loops over it vectorise.
//
// a = |z|, e = exp(-a), with positive and negative label masses A and B (y and 1 - y):
//   loss     = (z >= 0 ? B : A)·a + (A + B)·log1p(e)     non-negative terms: nothing cancels
//   gradient = (z >= 0 ? B - A·e : B·e - A) / (1 + e)
//   Hessian  = (A + B)·e / (1 + e)²
//
// Rows of either precision are computed in it, with a second number of the same kind for the
// rounding errors that matter: below 1 ulp. The multiply-adds of float32 rows are rounded once
// on every machine, so their bits follow from IEEE 754 alone.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace logloss::LOGLOSS_LEVEL {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

inline constexpr double kLn2 = 0x1.62e42fefa39efp-1;
// ln 2 in two parts; the first ends in 17 zero bits, so n·kLn2High is exact for |n| < 2^11.
inline constexpr double kLn2High = 0x1.62e42fefap-1;
inline constexpr double kLn2Low = 0x1.cf79abc9e3b39p-40;
inline constexpr double kInverseLn2 = 0x1.71547652b82fep0;
// Adding this rounds to an integer, which then stands in the low bits of the sum.
inline constexpr double kRounder = 0x1.8p52;

template <class Real>
struct Bernoulli {
  Real loss, gradient, hessian;
};

// A number as an unevaluated sum, low below half an ulp of high.
template <class Real>
struct Parts {
  Real high, low;
};

using Pair = Parts<double>;

template <class Real>
[[gnu::always_inline]] inline Real rounded(Parts<Real> p) {
  return p.high + p.low;
}

// The sum of two numbers, exactly; |x| >= |y| or x = 0.
template <class Real>
[[gnu::always_inline]] inline Parts<Real> ordered_sum(Real x, Real y) {
  const Real high = x + y;
  return {high, (x - high) + y};
}

// 2^n for the integer n that stands in the low bits of `shifted`, |n| < 1023.
[[gnu::always_inline]] inline double power_of_two(double shifted) {
  return std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) + 1023) << 52);
}

// x·y + z, rounded once where the level has an instruction for it.
[[gnu::always_inline]] inline double fused(double x, double y, double z) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return std::fma(x, y, z);
#else
  return x * y + z;
#endif
}

// x·y - product, exactly, for product = fl(x·y) and factors far from overflow (Dekker 1971).
[[gnu::always_inline]] inline double product_error(double x, double y, double product) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return std::fma(x, y, -product);
#else
  constexpr double kSplit = 0x1p27 + 1;
  const double cx = kSplit * x, cy = kSplit * y;
  const double hx = cx - (cx - x), hy = cy - (cy - y);
  const double lx = x - hx, ly = y - hy;
  return ((hx * hy - product) + hx * ly + lx * hy) + lx * ly;
#endif
}

// A number and what rounding to it has lost → the same, rounded to odd: an inexact one with an
// even last bit is moved one step, towards what was lost.
[[gnu::always_inline]] inline double rounded_to_odd(double value, double lost) {
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(value);
  const std::uint64_t inwards = (bits ^ std::bit_cast<std::uint64_t>(lost)) >> 63;
  const std::uint64_t odd = bits + ((1 - 2 * inwards) & ((bits & 1) - 1));
  return lost == 0 ? value : std::bit_cast<double>(odd);
}

// x·y + z, rounded once on every level: without an instruction for it by rounding to odd
// (Boldo and Melquiond 2008, "Emulation of a FMA and correctly rounded sums"), for operands
// and results far from overflow and underflow.
[[gnu::always_inline]] inline double fused_exactly(double x, double y, double z) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return std::fma(x, y, z);
#else
  const double product = x * y;
  const double below = product_error(x, y, product);
  const double sum = product + z;
  const double taken = sum - product;
  const double left = (product - (sum - taken)) + (z - taken);
  const double tail = left + below;
  const double tail_taken = tail - left;
  const double lost = (left - (tail - tail_taken)) + (below - tail_taken);
  return sum + rounded_to_odd(tail, lost);
#endif
}

// The same in float32: the product of two is exact in double, and the sum, rounded to odd
// there, rounds once more as if it had been exact.
[[gnu::always_inline]] inline float fused_exactly(float x, float y, float z) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return std::fma(x, y, z);
#else
  const double product = static_cast<double>(x) * static_cast<double>(y);
  const double term = static_cast<double>(z);
  const double sum = product + term;
  const double taken = sum - product;
  const double lost = (product - (sum - taken)) + (term - taken);
  return static_cast<float>(rounded_to_odd(sum, lost));
#endif
}

// ------------------------------------------------------------------------------------ float32

// exp(-a), a >= 0, to 2^-26; NaN stays NaN. With n = a/ln2, rounded, and u = n·ln2 - a: exp(u) is
// 1 + u + u²·q(u), q of degree 4 (scripts/coefficients.py). n reaches 151, beyond which every
// result has rounded to 0; powers of two below the smallest normal number take two steps.
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
  const Parts<float> m = ordered_sum(1.0f, s);
  const std::uint32_t lower = std::bit_cast<std::uint32_t>(shifted) << 23;
  const float power = std::bit_cast<float>((std::uint32_t{127 + 24} << 23) - lower);  // 2^(24-n)
  return {m.high * power * 0x1p-24f, (m.low + s_low) * power * 0x1p-24f};
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

// (n.high + n.low) / (d.high + d.low); `inverse` is 1/d.high.
[[gnu::always_inline]] inline Parts<float> quotient(Parts<float> n, Parts<float> d, float inverse) {
  const float q = n.high * inverse;
  const float remainder = fused_exactly(-q, d.high, n.high) + fused_exactly(-q, d.low, n.low);
  return {q, remainder * inverse};
}

// A row whose label masses add to 1.
[[gnu::always_inline]] inline Bernoulli<float> bernoulli(float positive, float negative, float z) {
  const float a = std::fabs(z);
  const Parts<float> e = exp_negative(a);
  const float wrong = z >= 0 ? negative : positive;
  const float linear = wrong == 0 ? 0.0f : wrong * a;  // 0·inf is 0 here
  const float constant = z >= 0 ? negative : -positive;
  const float factor = z >= 0 ? -positive : negative;
  const Parts<float> error = {fused_exactly(factor, e.high, constant), factor * e.low};
  Parts<float> d = ordered_sum(1.0f, e.high);
  d.low += e.low;
  const float inverse = 1.0f / d.high;
  return {add_log1p(linear, a, e), rounded(quotient(error, d, inverse)),
          rounded(quotient(quotient(e, d, inverse), d, inverse))};
}

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

// (n.high + n.low) / (d.high + d.low) as a pair; `inverse` is 1/d.high.
[[gnu::always_inline]] inline Pair quotient(Pair n, Pair d, double inverse) {
  const double q = n.high * inverse;
  const double product = q * d.high;
  const double remainder = (n.high - product) - product_error(q, d.high, product);
  return {q, (remainder + (n.low - q * d.low)) * inverse};
}

// ------------------------------------------------------------------------------ rows of doubles

// With `Plain`, A + B is 1. Label masses are 0 or 1 exactly where labels are.
template <bool Plain>
[[gnu::always_inline]] inline Bernoulli<double> bernoulli(double positive, double negative,
                                                          double z) {
  const double a = std::fabs(z);
  const double wrong = z >= 0 ? negative : positive;
  const double linear = wrong == 0 ? 0.0 : wrong * a;  // 0·inf is 0 here
  const Pair e = exp_negative_pair(a);
  Pair d = ordered_sum(1.0, e.high);
  d.low += e.low;
  const double inverse = 1.0 / d.high;
  const Pair error = {
      z >= 0 ? fused(-positive, e.high, negative) : fused(negative, e.high, -positive),
      z >= 0 ? -positive * e.low : negative * e.low};
  const double gradient = rounded(quotient(error, d, inverse));
  const double curvature = rounded(quotient(quotient(e, d, inverse), d, inverse));
  if constexpr (Plain) return {add_log1p_unit(linear, e), gradient, curvature};
  const double both = positive + negative;
  return {fused(both, add_log1p_unit(0.0, e), linear), gradient, both * curvature};
}

// A float32 row of any masses; where they add to 1, as without pos_weight.
[[gnu::always_inline]] inline Bernoulli<double> bernoulli_short(double positive, double negative,
                                                                double z) {
  const double both = positive + negative;
  const Bernoulli<float> plain =
      bernoulli(static_cast<float>(positive), static_cast<float>(negative), static_cast<float>(z));
  const double a = std::fabs(z);
  const double wrong = z >= 0 ? negative : positive;
  const double linear = wrong == 0 ? 0.0 : wrong * a;
  const double e = exp_short(a);
  const double inverse = 1.0 / (1.0 + e);
  const double error = z >= 0 ? negative - positive * e : negative * e - positive;
  return {both == 1 ? plain.loss : linear + both * log1p_short(e),
          both == 1 ? plain.gradient : error * inverse,
          both == 1 ? plain.hessian : both * (e * inverse * inverse)};
}

// σ(z) = 1/(1 + e) on the right, e/(1 + e) on the left.
template <class Real>
[[gnu::always_inline]] inline double sigmoid(double z) {
  if constexpr (sizeof(Real) == sizeof(float)) {
    const double e = exp_short(std::fabs(z));
    return (z >= 0 ? 1.0 : e) / (1.0 + e);
  } else {
    const Pair e = exp_negative_pair(std::fabs(z));
    Pair d = ordered_sum(1.0, e.high);
    d.low += e.low;
    const Pair n = {z >= 0 ? 1.0 : e.high, z >= 0 ? 0.0 : e.low};
    return rounded(quotient(n, d, 1.0 / d.high));
  }
}

// ---------------------------------------------------------------------------- from probabilities

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

// ------------------------------------------------------------------------------------------ focal

// f(t) = σ(t)^γ·softplus(t), the focal loss of a negative row at logit t, and its derivatives
// f' = σ^γ·(γ(1-σ)s + σ), f'' = σ^γ(1-σ)·(γs(γ(1-σ) - σ) + (2γ+1)σ), s = softplus(t).
// Lin et al. (2017), "Focal loss for dense object detection". σ^γ is an exponential of
// γ·softplus(-t), so its error grows with that: a few ulp plus γ·|t|/2 of them.
template <class Real>
[[gnu::always_inline]] inline Bernoulli<double> focal_term(double t, double gamma) {
  const auto exponential = [](double a) {
    if constexpr (sizeof(Real) == sizeof(float)) return exp_short(a);
    return exp_negative_pair(a).high;
  };
  const double size = std::fabs(t);
  const double e = exponential(size);
  const double logarithm = [e] {
    if constexpr (sizeof(Real) == sizeof(float)) return log1p_short(e);
    return add_log1p_unit(0.0, {e, 0.0});
  }();
  const double inverse = 1.0 / (1.0 + e);
  const double sigma = (t >= 0 ? 1.0 : e) * inverse;
  const double rest = (t >= 0 ? e : 1.0) * inverse;
  const double softplus = (t >= 0 ? size : 0.0) + logarithm;
  const double power = exponential(gamma * ((t >= 0 ? 0.0 : size) + logarithm));
  const double damped = rest * (softplus > 800.0 ? 800.0 : softplus);  // the limit is 0, not 0·inf
  return {power == 0 ? 0.0 : power * softplus, power * (gamma * damped + sigma),
          power * (gamma * damped * (gamma * rest - sigma) + (2.0 * gamma + 1.0) * sigma * rest)};
}

template <class Real>
[[gnu::always_inline]] inline Bernoulli<double> focal(double positive, double negative, double z,
                                                      double gamma) {
  const Bernoulli<double> no = focal_term<Real>(z, gamma), yes = focal_term<Real>(-z, gamma);
  const auto times = [](double mass, double value) { return mass == 0 ? 0.0 : mass * value; };
  const double loss = times(positive, yes.loss) + times(negative, no.loss);
  return {z == z ? loss : z, negative * no.gradient - positive * yes.gradient,
          negative * no.hessian + positive * yes.hessian};
}

}  // namespace logloss::LOGLOSS_LEVEL
