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

// Rounds every value to a multiple of `grid` for |value| < 2^51·grid, exactly as long as the
// rounding mode is to nearest.
inline double on_grid(double value, double grid) {
  const double shift = 0x1.8p52 * grid;
  return (value + shift) - shift;
}

// Add a tile of doubles to an exact sum. Each value is split into multiples of three grids;
// 512 multiples of one grid add exactly in a double, so three additions to the accumulator
// stand for the whole tile. Tiles that do not fit the grids go one by one.
inline void add_tile(const double* values, std::ptrdiff_t n, ExactSum& sum) {
  constexpr double kLargest = 0x1p9;
  constexpr double kGrids[3] = {0x1p-34, 0x1p-77, 0x1p-120};
  constexpr int kLanes = 8;
  double first[kLanes] = {}, second[kLanes] = {}, third[kLanes] = {}, misfit[kLanes] = {};
  const std::ptrdiff_t whole = n - n % kLanes;
  for (std::ptrdiff_t i = 0; i < whole; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      const double value = values[i + j];
      const double a = on_grid(value, kGrids[0]);
      const double rest = value - a;
      const double b = on_grid(rest, kGrids[1]);
      const double small = rest - b;
      const double c = on_grid(small, kGrids[2]);
      first[j] += a;
      second[j] += b;
      third[j] += c;
      const bool fits = std::fabs(value) <= kLargest && small == c;
      misfit[j] = fits ? misfit[j] : 1.0;
    }
  }
  double misfits = 0;
  for (const double lane : misfit) misfits += lane;
  if (misfits != 0) {
    for (std::ptrdiff_t i = 0; i < n; ++i) sum.add(values[i]);
    return;
  }
  for (const auto& lanes : {first, second, third}) {
    double total = 0;
    for (int j = 0; j < kLanes; ++j) total += lanes[j];
    sum.add(total);
  }
  for (std::ptrdiff_t i = whole; i < n; ++i) sum.add(values[i]);
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

// Round to Real, then multiply by the weight, itself rounded to Real, and round again.
template <class Real>
void round_and_weigh(double* tile, const double* weight, std::ptrdiff_t n) {
  if (weight == nullptr) {
    for (std::ptrdiff_t i = 0; i < n; ++i) tile[i] = static_cast<Real>(tile[i]);
    return;
  }
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    tile[i] = static_cast<Real>(static_cast<Real>(tile[i]) * static_cast<Real>(weight[i]));
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
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const double y = tile.positive[i];
      tile.positive[i] = y * keep + half;
      tile.negative[i] = (1.0 - y) * keep + half;
    }
  } else {
    for (std::ptrdiff_t i = 0; i < n; ++i) tile.negative[i] = 1.0 - tile.positive[i];
  }
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
    if (task.sum != nullptr) add_tile(tile.loss, n, *task.sum);
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

template <class Real>
LossReport losses_from_logits_as(const LossTask& task) {
  LossReport report;
  Tile tile;
  for (std::ptrdiff_t first = 0; first < task.n; first += kTile) {
    const std::ptrdiff_t n = std::min(kTile, task.n - first);
    load_masses(task, first, n, tile, report);
    load(task.score, first, n, tile.score);
    note(report.bad_score, tile.score, first, n, -kInfinity, kInfinity);
    if (task.gradient == nullptr && task.hessian == nullptr) {
      for (std::ptrdiff_t i = 0; i < n; ++i) {
        tile.loss[i] = bernoulli<Real>(tile.positive[i], tile.negative[i], tile.score[i]).loss;
      }
    } else {
      for (std::ptrdiff_t i = 0; i < n; ++i) {
        const Bernoulli row = bernoulli<Real>(tile.positive[i], tile.negative[i], tile.score[i]);
        tile.loss[i] = row.loss;
        tile.gradient[i] = row.gradient;
        tile.hessian[i] = row.hessian;
      }
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
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      tile.score[i] = std::min(std::max(tile.score[i], task.low), task.high);
    }
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      tile.loss[i] =
          loss_from_probability(tile.positive[i], tile.negative[i], tile.score[i], task.limit);
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
