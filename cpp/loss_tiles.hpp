// What losses from logits and from probabilities share: a tile's labels as masses, checks of what
// comes in, weights, and where results go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "arithmetic.hpp"
#include "columns.hpp"
#include "losses.hpp"
#include "tile_sums.hpp"

namespace logloss::LOGLOSS_LEVEL {

template <class Real>
std::ptrdiff_t first_outside(const Real* values, std::ptrdiff_t n, Real low, Real high) {
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    if (!(values[i] >= low && values[i] <= high)) return i;
  }
  return -1;
}

// Whether all values lie in [low, high]; NaN does not.
template <class Real>
bool all_within(const Real* values, std::ptrdiff_t n, Real low, Real high) {
  int outside = 0;
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
  int windows = 1;  // that the last tile's sum has needed
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
    if (task.sum != nullptr) add_tile(tile.loss, n, *task.sum, tile.windows);
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

// Values of a column as they lie in memory, where they are of this type, dense and aligned.
template <class T>
const T* direct(const Column& column, Type type) {
  const bool dense = column.type == type && column.stride == static_cast<std::ptrdiff_t>(sizeof(T));
  const bool aligned = reinterpret_cast<std::uintptr_t>(column.data) % alignof(T) == 0;
  return dense && aligned ? static_cast<const T*>(column.data) : nullptr;
}

// Calls visit(labels, first, n) for tile after tile, the labels as they lie in memory where that
// is a common type, as doubles otherwise.
template <class Visit>
void each_tile(const LossTask& task, Tile& tile, const Visit& visit) {
  const std::uint8_t* bytes = nullptr;  // a negative int8 is above 1 as a byte
  for (const Type type : {Type::uint8, Type::boolean, Type::int8}) {
    if (bytes == nullptr) bytes = direct<std::uint8_t>(task.label, type);
  }
  const std::int64_t* integers = direct<std::int64_t>(task.label, Type::int64);
  const float* floats = direct<float>(task.label, Type::float32);
  for (std::ptrdiff_t first = 0; first < task.n; first += kTile) {
    const std::ptrdiff_t n = std::min(kTile, task.n - first);
    if (bytes != nullptr) {
      visit(bytes + first, first, n);
    } else if (integers != nullptr) {
      visit(integers + first, first, n);
    } else if (floats != nullptr) {
      visit(floats + first, first, n);
    } else {
      load(task.label, first, n, tile.positive);
      visit(tile.positive, first, n);
    }
  }
}

}  // namespace logloss::LOGLOSS_LEVEL
