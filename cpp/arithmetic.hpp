// Numbers as unevaluated sums of two, and multiply-adds that are rounded once. Branch-free and
// always inlined, so that loops over them vectorise.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace logloss::LOGLOSS_LEVEL {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

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

// (n.high + n.low) / (d.high + d.low); `inverse` is 1/d.high.
[[gnu::always_inline]] inline Parts<float> quotient(Parts<float> n, Parts<float> d, float inverse) {
  const float q = n.high * inverse;
  const float remainder = fused_exactly(-q, d.high, n.high) + fused_exactly(-q, d.low, n.low);
  return {q, remainder * inverse};
}

// The same, rounded.
[[gnu::always_inline]] inline float divided(Parts<float> n, Parts<float> d, float inverse) {
  const float q = n.high * inverse;
  const float remainder = fused_exactly(-q, d.high, n.high) + fused_exactly(-q, d.low, n.low);
  return fused_exactly(remainder, inverse, q);
}

// (n.high + n.low) / (d.high + d.low) as a pair; `inverse` is 1/d.high.
[[gnu::always_inline]] inline Pair quotient(Pair n, Pair d, double inverse) {
  const double q = n.high * inverse;
  const double product = q * d.high;
  const double remainder = (n.high - product) - product_error(q, d.high, product);
  return {q, (remainder + (n.low - q * d.low)) * inverse};
}

}  // namespace logloss::LOGLOSS_LEVEL
