// What a scan of a linear predictor is asked and what it answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "columns.hpp"
#include "exact_sum.hpp"
#include "grid_sum.hpp"

namespace logloss {

// Strides count bytes.
struct Cells {
  const char* data = nullptr;
  std::ptrdiff_t row_stride = 0;
  std::ptrdiff_t column_stride = 0;
  Type type = Type::float64;
};

// Rows of numbers (float32 or float64) and codes (int32). Coefficients are the intercept, one
// for each number, then the levels of each code column from `starts[k]` on; `center` is taken
// from the numbers before they are multiplied.
struct LinearRows {
  std::ptrdiff_t n = 0;
  std::ptrdiff_t n_numbers = 0;
  std::ptrdiff_t n_codes = 0;
  Cells numbers;
  Cells codes;
  const double* center = nullptr;
  const std::int64_t* starts = nullptr;
  std::ptrdiff_t size = 0;  // coefficients
};

struct LinearTask {
  LinearRows rows;
  Column label;
  const Column* weight = nullptr;
  const Column* offset = nullptr;
  const double* beta = nullptr;

  // Losses at beta + steps[t]·direction for each step; without any, at beta.
  const double* direction = nullptr;
  const double* steps = nullptr;
  std::ptrdiff_t n_steps = 0;
  ExactSum* loss = nullptr;  // one, or one per step

  // Sums of w·(sigmoid(z) - y)·x; null grids: not wanted.
  GridSums gradient;

  // Sums of w·h·x·x', h the second derivative, added to the upper triangle; null: not wanted.
  double* gram = nullptr;

  // Largest sum of squares of (x - center)·inverse_scale, and smallest (2y - 1)·x'beta, without
  // the offset and -inf where a label is soft; over rows of positive weight. Asked for by
  // `inverse_scale`.
  const double* inverse_scale = nullptr;
  double longest = 0;
  double margin = std::numeric_limits<double>::infinity();
};

// Values x'beta of each row, contiguous.
struct ProductTask {
  LinearRows rows;
  const double* beta = nullptr;
  double* out = nullptr;
};

// Moments of the numbers about `center`, over rows of positive weight; `two_valued` stays 1
// while no value but the smallest and the largest occurs. An entry for each number.
struct MomentTask {
  LinearRows rows;
  const Column* weight = nullptr;
  double* first = nullptr;
  double* second = nullptr;
  double* low = nullptr;
  double* high = nullptr;
  std::uint8_t* two_valued = nullptr;
};

}  // namespace logloss
