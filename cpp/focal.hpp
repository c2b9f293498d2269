// The focal loss from logits, with its derivatives.
#pragma once

#include <cmath>

#include "bernoulli.hpp"

namespace logloss::LOGLOSS_LEVEL {

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
