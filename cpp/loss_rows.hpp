// Elementwise losses over rows, tile by tile, and their exact sums: load, compute, round,
// add, store. What is computed stands in bernoulli.hpp; what rows look like in columns.hpp.
#pragma once

#include <algorithm>
#include <cstring>

#include "bernoulli.hpp"
#include "columns.hpp"
#include "exact_sum.hpp"
#include "kernels.hpp"

namespace logloss::LOGLOSS_LEVEL {

// Rounds to a multiple of `grid` for |value| < 2^51·grid.
inline double on_grid(double value, double grid) {
  const double shift = 0x1.8p52 * grid;
  return (value + shift) - shift;
}

// Add a tile of doubles to an exact sum. Each value is split at grids so coarse that 512 of
// its parts add in a double without rounding, in any order; then a few additions to the
// accumulator stand for the whole tile. `kBits` are the significant bits of a value, which
// say where its last one lies. Tiles that no grid fits go value by value.
template <int kBits>
void add_tile(const double* values, std::ptrdiff_t n, ExactSum& sum) {
  constexpr double kLargest = 0x1p9;  // 512·kLargest/2^-34 < 2^53, and so on down
  constexpr double kGrids[] = {0x1p-34, 0x1p-77, 0x1p-120};
  // What one grid leaves is below 2^-35, and adds exactly where its last bit is 2^-79 or more;
  // what three grids leave is below 2^-121: 2^-165 or more, which all of float32 is.
  constexpr double kSmallestOfOne = kBits == 24 ? 0x1p-55 : 0x1p-26;
  constexpr double kSmallestOfThree = kBits == 24 ? 0x1p-149 : 0x1p-112;
  double largest = 0, smallest = kInfinity, first = 0, rest = 0;
#pragma omp simd reduction(max : largest) reduction(min : smallest) reduction(+ : first, rest)
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const double size = std::fabs(values[i]);
    const double positive = size > 0 ? size : 1.0;
    largest = size > largest ? size : largest;
    smallest = positive < smallest ? positive : smallest;
    const double coarse = on_grid(values[i], kGrids[0]);
    first += coarse;
    rest += values[i] - coarse;
  }
  const bool finite = first - first == 0;  // a NaN is not seen by the comparisons
  if (finite && largest <= kLargest && smallest >= kSmallestOfOne) {
    sum.add(first);
    sum.add(rest);
  } else if (finite && largest <= kLargest && smallest >= kSmallestOfThree) {
    double second = 0, third = 0, last = 0;
#pragma omp simd reduction(+ : second, third, last)
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const double fine = values[i] - on_grid(values[i], kGrids[0]);
      const double coarse = on_grid(fine, kGrids[1]);
      const double finer = fine - coarse;
      const double less_coarse = on_grid(finer, kGrids[2]);
      second += coarse;
      third += less_coarse;
      last += finer - less_coarse;
    }
    for (const double part : {first, second, third, last}) sum.add(part);
  } else {
    for (std::ptrdiff_t i = 0; i < n; ++i) sum.add(values[i]);
  }
}

inline std::ptrdiff_t first_outside(const double* values, std::ptrdiff_t n, double low,
                                    double high) {
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    if (!(values[i] >= low && values[i] <= high)) return i;
  }
  return -1;
}

// Whether all values lie in [low, high]; NaN does not.
inline bool all_within(const double* values, std::ptrdiff_t n, double low, double high) {
  std::ptrdiff_t outside = 0;
  for (std::ptrdiff_t i = 0; i < n; ++i) outside += !(values[i] >= low && values[i] <= high);
  return outside == 0;
}

inline void note(std::ptrdiff_t& bad, const double* values, std::ptrdiff_t first, std::ptrdiff_t n,
                 double low, double high) {
  if (bad < 0 && !all_within(values, n, low, high)) {
    bad = first + first_outside(values, n, low, high);
  }
}

template <class Real>
void store(const double* tile, std::ptrdiff_t first, std::ptrdiff_t n, void* out) {
  Real* const at = static_cast<Real*>(out) + first;
  for (std::ptrdiff_t i = 0; i < n; ++i) at[i] = static_cast<Real>(tile[i]);
}

// Round to Real, then multiply by the weight, itself rounded to Real, and round again. A row
// without weight does not count, even where its loss is infinite: 0·inf is 0 here too.
template <class Real>
void round_and_weigh(double* tile, const double* weight, std::ptrdiff_t n) {
  if (weight == nullptr) {
    for (std::ptrdiff_t i = 0; i < n; ++i) tile[i] = static_cast<Real>(tile[i]);
    return;
  }
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const Real weighted = static_cast<Real>(tile[i]) * static_cast<Real>(weight[i]);
    tile[i] = weight[i] == 0 ? 0.0 : weighted;
  }
}

// One tile of rows: label masses A and B, scores, and what comes out.
struct Tile {
  alignas(64) double positive[kTile];
  alignas(64) double negative[kTile];
  alignas(64) double score[kTile];
  alignas(64) double weight[kTile];
  alignas(64) double loss[kTile];
  alignas(64) double gradient[kTile];
  alignas(64) double hessian[kTile];
};

// Labels → masses: smoothing y(1 - s) + s/2 first, then the positive class's weight.
inline void load_masses(const LossTask& task, std::ptrdiff_t first, std::ptrdiff_t n, Tile& tile,
                        LossReport& report) {
  load(task.label, first, n, tile.positive);
  note(report.bad_label, tile.positive, first, n, 0.0, 1.0);
  if (task.smoothing != 0) {
    const double keep = 1.0 - task.smoothing;
    const double half = 0.5 * task.smoothing;
    for (std::ptrdiff_t i = 0; i < n; ++i) tile.positive[i] = tile.positive[i] * keep + half;
  }
  for (std::ptrdiff_t i = 0; i < n; ++i) tile.negative[i] = 1.0 - tile.positive[i];
  if (task.positive_weight != nullptr) {
    load(*task.positive_weight, first, n, tile.weight);
    note(report.bad_weight, tile.weight, first, n, 0.0, std::numeric_limits<double>::max());
    for (std::ptrdiff_t i = 0; i < n; ++i) tile.positive[i] *= tile.weight[i];
  }
}

template <class Real>
void finish_tile(const LossTask& task, std::ptrdiff_t first, std::ptrdiff_t n, Tile& tile,
                 LossReport& report) {
  const double* weight = nullptr;
  if (task.weight != nullptr) {
    load(*task.weight, first, n, tile.weight);
    note(report.bad_weight, tile.weight, first, n, 0.0, std::numeric_limits<double>::max());
    weight = tile.weight;
  }
  if (task.loss != nullptr || task.sum != nullptr) {
    round_and_weigh<Real>(tile.loss, weight, n);
    if (task.loss != nullptr) store<Real>(tile.loss, first, n, task.loss);
    if (task.sum != nullptr) add_tile<std::numeric_limits<Real>::digits>(tile.loss, n, *task.sum);
  }
  if (task.gradient != nullptr) {
    round_and_weigh<Real>(tile.gradient, weight, n);
    store<Real>(tile.gradient, first, n, task.gradient);
  }
  if (task.hessian != nullptr) {
    round_and_weigh<Real>(tile.hessian, weight, n);
    store<Real>(tile.hessian, first, n, task.hessian);
  }
}

// What is not stored is not computed: the compiler drops it.
template <class Row>
void evaluate(const LossTask& task, std::ptrdiff_t n, Tile& tile, const Row& row) {
  if (task.hessian != nullptr) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const Bernoulli values = row(i);
      tile.loss[i] = values.loss;
      tile.gradient[i] = values.gradient;
      tile.hessian[i] = values.hessian;
    }
  } else if (task.gradient != nullptr) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const Bernoulli values = row(i);
      tile.loss[i] = values.loss;
      tile.gradient[i] = values.gradient;
    }
  } else {
    for (std::ptrdiff_t i = 0; i < n; ++i) tile.loss[i] = row(i).loss;
  }
}

template <class Real>
LossReport losses_from_logits_as(const LossTask& task) {
  LossReport report;
  Tile tile;
  for (std::ptrdiff_t first = 0; first < task.n; first += kTile) {
    const std::ptrdiff_t n = std::min(kTile, task.n - first);
    load_masses(task, first, n, tile, report);
    load(task.score, first, n, tile.score);
    note(report.bad_score, tile.score, first, n, -kInfinity, kInfinity);
    if (task.gamma != 0) {
      evaluate(task, n, tile, [&tile, gamma = task.gamma](std::ptrdiff_t i) {
        return focal<Real>(tile.positive[i], tile.negative[i], tile.score[i], gamma);
      });
    } else if (task.positive_weight != nullptr) {
      evaluate(task, n, tile, [&tile](std::ptrdiff_t i) {
        return bernoulli<Real, false>(tile.positive[i], tile.negative[i], tile.score[i]);
      });
    } else {
      evaluate(task, n, tile, [&tile](std::ptrdiff_t i) {
        return bernoulli<Real, true>(tile.positive[i], tile.negative[i], tile.score[i]);
      });
    }
    finish_tile<Real>(task, first, n, tile, report);
  }
  return report;
}

template <class Real>
LossReport losses_from_probabilities_as(const LossTask& task) {
  LossReport report;
  Tile tile;
  for (std::ptrdiff_t first = 0; first < task.n; first += kTile) {
    const std::ptrdiff_t n = std::min(kTile, task.n - first);
    load_masses(task, first, n, tile, report);
    load(task.score, first, n, tile.score);
    note(report.bad_score, tile.score, first, n, 0.0, 1.0);
    if (task.low > 0 || task.high < 1) {
      for (std::ptrdiff_t i = 0; i < n; ++i) {
        const double p = tile.score[i];
        tile.score[i] = p < task.low ? task.low : p > task.high ? task.high : p;
      }
    }
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      tile.loss[i] = loss_from_probability<Real>(tile.positive[i], tile.negative[i], tile.score[i],
                                                 task.limit);
    }
    if (task.gradient != nullptr) {
      for (std::ptrdiff_t i = 0; i < n; ++i) {
        tile.gradient[i] =
            derivative_from_probability(tile.positive[i], tile.negative[i], tile.score[i]);
      }
    }
    finish_tile<Real>(task, first, n, tile, report);
  }
  return report;
}

template <class Real, double (*function)(double)>
void map_as(const MapTask& task) {
  alignas(64) double tile[kTile];
  for (std::ptrdiff_t first = 0; first < task.n; first += kTile) {
    const std::ptrdiff_t n = std::min(kTile, task.n - first);
    load(task.in, first, n, tile);
    for (std::ptrdiff_t i = 0; i < n; ++i) tile[i] = function(tile[i]);
    store<Real>(tile, first, n, task.out);
  }
}

}  // namespace logloss::LOGLOSS_LEVEL
