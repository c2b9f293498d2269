// The scalar mathematics of the Bernoulli log loss: one exponential serves the loss, its
// gradient and its Hessian. Branch-free, so that loops over it vectorise. No loops here.
//
// a = |z|, e = exp(-a), with positive and negative label masses A and B (y and 1 - y):
//   loss     = (z > 0 ? B : A)·a + (A + B)·log1p(e)      non-negative terms: nothing cancels
//   gradient = (z >= 0 ? B - A·e : B·e - A) / (1 + e)
//   Hessian  = (A + B)·e / (1 + e)²
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace logloss::LOGLOSS_LEVEL {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// ln 2 in two parts; the first ends in 21 zero bits, so n·kLn2High is exact for |n| < 2^11.
inline constexpr double kLn2High = 0x1.62e42fefap-1;
inline constexpr double kLn2Low = 0x1.cf79abc9e3b39p-40;
inline constexpr double kInverseLn2 = 0x1.71547652b82fep0;
// Adding and subtracting this rounds to an integer, which then stands in the low bits.
inline constexpr double kRounder = 0x1.8p52;
// exp(-746) rounds to 0, and half its binary exponent is still that of a normal number.
inline constexpr double kLargestExponent = 746.0;

// How a dtype is evaluated. float32 is evaluated in double without fused multiply-add, so
// that its bits are the same on every machine: each operation is rounded by IEEE 754 alone.
template <class Real>
struct Arithmetic;

template <>
struct Arithmetic<float> {
  // Terms of the two series that leave an error below 2^-40 of the result.
  static constexpr int kExpTerms = 9;
  static constexpr int kLogTerms = 7;
  static double multiply_add(double x, double y, double z) { return x * y + z; }
};

template <>
struct Arithmetic<double> {
  // Terms of the two series that leave an error below 2^-58 of the result.
  static constexpr int kExpTerms = 13;
  static constexpr int kLogTerms = 13;
  static double multiply_add(double x, double y, double z) {
#ifdef __FMA__
    return std::fma(x, y, z);
#else
    return x * y + z;
#endif
  }
};

// 1/k!, the Taylor coefficients of exp.
inline constexpr double kExp[] = {1.0,
                                  1.0,
                                  1.0 / 2,
                                  1.0 / 6,
                                  1.0 / 24,
                                  1.0 / 120,
                                  1.0 / 720,
                                  1.0 / 5040,
                                  1.0 / 40320,
                                  1.0 / 362880,
                                  1.0 / 3628800,
                                  1.0 / 39916800,
                                  1.0 / 479001600,
                                  1.0 / 6227020800};

// 2^n for the integer n that stands in the low bits of `shifted`, |n| < 1023.
inline double power_of_two(double shifted) {
  return std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) + 1023) << 52);
}

// exp(-a) for a >= 0; NaN stays NaN. |r| <= ln2/2.
template <class Real>
inline double exp_negative(double a) {
  using A = Arithmetic<Real>;
  const double x = a > kLargestExponent ? -kLargestExponent : -a;
  const double n = (x * kInverseLn2 + kRounder) - kRounder;
  const double high = A::multiply_add(-n, kLn2High, x);
  const double low = n * kLn2Low;
  const double r = high - low;
  const double r_low = (high - r) - low;
  double q = kExp[A::kExpTerms];
  for (int k = A::kExpTerms - 1; k >= 2; --k) q = A::multiply_add(q, r, kExp[k]);
  const double tail = A::multiply_add(r * r, q, r_low);
  // n in two halves, so that each power of two is a normal number down to exp(-745)
  const double first = n * 0.5 + kRounder;
  const double second = (n - (first - kRounder)) + kRounder;
  return ((1.0 + (r + tail)) * power_of_two(first)) * power_of_two(second);
}

// log1p(e) for 0 <= e <= 1: log1p(f), or ln2 + log1p(f) with f = (e - 1)/2, exact, from ½ on.
// With s = f/(2 + f): log1p(f) = f - (f²/2 - s·(f²/2 + R)), R = 2s²/3 + 2s⁴/5 + …, |s| <= 1/5.
template <class Real>
inline double log1p_unit(double e) {
  using A = Arithmetic<Real>;
  const bool large = e >= 0.5;
  const double f = large ? (e - 1.0) * 0.5 : e;
  const double s = f / (2.0 + f);
  const double square = s * s;
  double series = 2.0 / (2 * A::kLogTerms + 1);
  for (int k = A::kLogTerms - 1; k >= 1; --k) {
    series = A::multiply_add(series, square, 2.0 / (2 * k + 1));
  }
  const double half = 0.5 * f * f;
  const double correction = s * A::multiply_add(series, square, half);
  return large ? kLn2High - ((half - (correction + kLn2Low)) - f) : f - (half - correction);
}

struct Bernoulli {
  double loss, gradient, hessian;
};

// Loss and its derivatives with respect to the logit, for label masses A and B.
template <class Real>
inline Bernoulli bernoulli(double positive, double negative, double z) {
  const double a = std::fabs(z);
  const double e = exp_negative<Real>(a);
  const double both = positive + negative;
  const double wrong = z > 0 ? negative : positive;
  const double linear = wrong == 0 ? 0.0 : wrong * a;  // 0·inf is 0 here
  const double inverse = 1.0 / (1.0 + e);
  const double signed_error = z >= 0 ? negative - positive * e : negative * e - positive;
  return {linear + both * log1p_unit<Real>(e), signed_error * inverse,
          both * e * inverse * inverse};
}

// σ(z) = 1/(1 + e) on the right, e/(1 + e) on the left.
template <class Real>
inline double sigmoid(double z) {
  const double e = exp_negative<Real>(std::fabs(z));
  return (z >= 0 ? 1.0 : e) / (1.0 + e);
}

// -A·log p - B·log1p(-p), each logarithm at most `limit` below 0; 0·log 0 is 0, and p = 0 or 1
// on the wrong side is exactly infinite. The derivative is with respect to p.
inline double loss_from_probability(double positive, double negative, double p, double limit) {
  const double of_positive = positive == 0 ? 0.0 : positive * std::fmin(-std::log(p), limit);
  const double of_negative = negative == 0 ? 0.0 : negative * std::fmin(-std::log1p(-p), limit);
  return p == p ? of_positive + of_negative : p;
}

inline double derivative_from_probability(double positive, double negative, double p) {
  const double of_positive = positive == 0 ? 0.0 : positive / p;
  const double of_negative = negative == 0 ? 0.0 : negative / (1.0 - p);
  return of_negative - of_positive;
}

// log(p/(1 - p)): 2·atanh(2p - 1) around ½, where the two logarithms would cancel.
inline double logit(double p) {
  const double s = 2.0 * p - 1.0;
  return std::fabs(s) < 0.5 ? 2.0 * std::atanh(s) : std::log(p) - std::log1p(-p);
}

}  // namespace logloss::LOGLOSS_LEVEL
