// What a step of AdamW is asked.
#pragma once

#include <cstddef>
#include <vector>

#include "columns.hpp"

namespace logloss {

// A parameter of n values, its gradient, and the moving means of that and of its square.
struct AdamParameter {
  std::ptrdiff_t n = 0;
  void* value = nullptr;
  const void* gradient = nullptr;
  void* mean = nullptr;
  void* square = nullptr;
  double decay = 0;
};

struct AdamTask {
  Type real = Type::float32;
  std::vector<AdamParameter> parameters;
  double beta_mean = 0.9;
  double beta_square = 0.999;
  double epsilon = 1e-8;
  double rate = 0;
  double steps = 1;    // this one included
  double longest = 0;  // the gradient of all parameters is cut to this length
};

}  // namespace logloss
