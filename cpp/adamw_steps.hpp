// A step of AdamW on all parameters, after Loshchilov and Hutter (2019), "Decoupled weight decay
// regularization": one pass over each, in the operations of torch.optim.AdamW.
#pragma once

#include <cmath>
#include <cstddef>

#include "adamw.hpp"

namespace logloss::LOGLOSS_LEVEL {

template <class Real>
double squared_length(const Real* __restrict values, std::ptrdiff_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  return sum;
}

template <class Real>
void step_adamw_as(const AdamTask& task) {
  double squares = 0;
  for (const AdamParameter& p : task.parameters) {
    squares += squared_length(static_cast<const Real*>(p.gradient), p.n);
  }
  const double length = std::sqrt(squares);
  const Real cut = static_cast<Real>(length > task.longest ? task.longest / (length + 1e-6) : 1.0);
  const Real stride = static_cast<Real>(task.rate / (1 - std::pow(task.beta_mean, task.steps)));
  const Real unit = static_cast<Real>(std::sqrt(1 - std::pow(task.beta_square, task.steps)));
  const Real new_mean = static_cast<Real>(1 - task.beta_mean);
  const Real old_square = static_cast<Real>(task.beta_square), new_square = 1 - old_square;
  const Real epsilon = static_cast<Real>(task.epsilon);
  for (const AdamParameter& p : task.parameters) {
    const Real kept = static_cast<Real>(1 - task.rate * p.decay);
    Real* const __restrict value = static_cast<Real*>(p.value);
    const Real* const __restrict gradient = static_cast<const Real*>(p.gradient);
    Real* const __restrict mean = static_cast<Real*>(p.mean);
    Real* const __restrict square = static_cast<Real*>(p.square);
    for (std::ptrdiff_t i = 0; i < p.n; ++i) {
      const Real slope = gradient[i] * cut;
      mean[i] += new_mean * (slope - mean[i]);
      square[i] = old_square * square[i] + new_square * slope * slope;
      const Real size = std::sqrt(square[i]) / unit + epsilon;
      value[i] = kept * value[i] - stride * mean[i] / size;
    }
  }
}

}  // namespace logloss::LOGLOSS_LEVEL
