// Moments and extremes of the columns of a matrix, in one read.
#pragma once

#include <algorithm>

#include "bernoulli.hpp"
#include "linear.hpp"
#include "number_tile.hpp"

namespace logloss::LOGLOSS_LEVEL {

// Smallest and largest value of rows that count.
struct Range {
  double low = kInfinity;
  double high = -kInfinity;
};

// Sums of w·(x - center) and w·(x - center)² in lanes.
template <class Real>
void add_moments(const Real* __restrict x, double center, const double* __restrict weight,
                 std::ptrdiff_t n, double* __restrict first, double* __restrict second) {
  const std::ptrdiff_t whole = n / kLanes * kLanes;
  double sums[kLanes] = {}, squares[kLanes] = {};
  for (std::ptrdiff_t i = 0; i < whole; i += kLanes) {
    for (std::ptrdiff_t l = 0; l < kLanes; ++l) {
      const double value = static_cast<double>(x[i + l]) - center;
      const double weighted = weight[i + l] * value;
      sums[l] += weighted;
      squares[l] = fused(weighted, value, squares[l]);
    }
  }
  for (std::ptrdiff_t i = whole; i < n; ++i) {
    const double value = static_cast<double>(x[i]) - center;
    const double weighted = weight[i] * value;
    sums[i - whole] += weighted;
    squares[i - whole] = fused(weighted, value, squares[i - whole]);
  }
  for (std::ptrdiff_t l = 0; l < kLanes; ++l) {
    first[l] += sums[l];
    second[l] += squares[l];
  }
}

template <class Real>
Range range_of(const Real* __restrict x, const double* __restrict weight, std::ptrdiff_t n,
               bool all_count) {
  Real low = std::numeric_limits<Real>::infinity(), high = -low;
  if (all_count) {
#pragma omp simd reduction(min : low) reduction(max : high)
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      low = x[i] < low ? x[i] : low;
      high = x[i] > high ? x[i] : high;
    }
  } else {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      low = weight[i] > 0 && x[i] < low ? x[i] : low;
      high = weight[i] > 0 && x[i] > high ? x[i] : high;
    }
  }
  return {static_cast<double>(low), static_cast<double>(high)};
}

template <class Real>
void add_range(const MomentTask& task, std::ptrdiff_t j, const Real* x, const double* weight,
               std::ptrdiff_t n, bool all_count) {
  const Range here = range_of(x, weight, n, all_count);
  if (here.low > here.high) return;  // no row counts, or all are NaN
  const Range all = {std::min(here.low, task.low[j]), std::max(here.high, task.high[j])};
  if (task.two_valued[j] != 0) {
    const auto between = [&all](double value) { return value > all.low && value < all.high; };
    bool more = between(task.low[j]) || between(task.high[j]);
    for (std::ptrdiff_t i = 0; i < n && !more; ++i) {
      more = weight[i] > 0 && between(static_cast<double>(x[i]));
    }
    task.two_valued[j] = more ? 0 : 1;
  }
  task.low[j] = all.low;
  task.high[j] = all.high;
}

template <class Real>
void moments_as(const MomentTask& task) {
  const LinearRows& rows = task.rows;
  const std::ptrdiff_t step = tile_rows(rows.n_numbers);
  NumberTile<Real> numbers(rows, step, true);
  Buffer sums(2 * kLanes * rows.n_numbers);
  alignas(64) double weight[kTile];
  std::fill(weight, weight + kTile, 1.0);
  for (std::ptrdiff_t at = 0; at < rows.n; at += step) {
    const std::ptrdiff_t n = std::min(step, rows.n - at);
    numbers.move_to(at, n);
    if (task.weight != nullptr) load(*task.weight, at, n, weight);
    const bool all_count = std::all_of(weight, weight + n, [](double w) { return w > 0; });
    for (std::ptrdiff_t j = 0; j < rows.n_numbers; ++j) {
      const Real* const x = numbers.column(j);
      double* const lanes = sums.data() + 2 * kLanes * j;
      add_moments(x, rows.center[j], weight, n, lanes, lanes + kLanes);
      add_range(task, j, x, weight, n, all_count);
    }
  }
  for (std::ptrdiff_t j = 0; j < rows.n_numbers; ++j) {
    task.first[j] = sum_of_lanes(sums.data() + 2 * kLanes * j);
    task.second[j] = sum_of_lanes(sums.data() + 2 * kLanes * j + kLanes);
  }
}

}  // namespace logloss::LOGLOSS_LEVEL
