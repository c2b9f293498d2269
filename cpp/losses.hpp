// What the loss kernels are asked and what they answer.
#pragma once

#include <cstddef>
#include <limits>

#include "columns.hpp"
#include "exact_sum.hpp"

namespace logloss {

// Elementwise losses of n rows. Outputs are contiguous, of dtype `real`; null ones are not
// wanted. Values are weighted; `sum` receives the losses as they were rounded to `real`.
struct LossTask {
  std::ptrdiff_t n = 0;
  Column label;
  Column score;  // logits or probabilities
  const Column* weight = nullptr;
  const Column* positive_weight = nullptr;
  double smoothing = 0;
  double gamma = 0;  // focusing parameter of the focal loss; 0 for the log loss
  // a clip policy: probabilities are moved into [low, high], -log p to at most `limit`
  double low = 0;
  double high = 1;
  double limit = std::numeric_limits<double>::infinity();
  Type real = Type::float64;
  void* loss = nullptr;
  void* gradient = nullptr;
  void* hessian = nullptr;
  ExactSum* sum = nullptr;
};

// First rows that break a rule; -1 where none does.
struct LossReport {
  std::ptrdiff_t bad_label = -1;
  std::ptrdiff_t bad_score = -1;
  std::ptrdiff_t bad_weight = -1;
};

// n values of dtype `real`, mapped one by one; `out` is contiguous.
struct MapTask {
  std::ptrdiff_t n = 0;
  Column in;
  Type real = Type::float64;
  void* out = nullptr;
};

}  // namespace logloss
