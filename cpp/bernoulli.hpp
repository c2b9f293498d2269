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

#include <cmath>

#include "exponentials.hpp"

namespace logloss::LOGLOSS_LEVEL {

template <class Real>
struct Bernoulli {
  Real loss, gradient, hessian;
};

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
  return {add_log1p(linear, a, e), divided(error, d, inverse),
          divided(quotient(e, d, inverse), d, inverse)};
}

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

}  // namespace logloss::LOGLOSS_LEVEL
