// What is done to one column, tile by tile: sigmoid and logit, whether labels are 0 and 1, sums.
#pragma once

#include <algorithm>
#include <cstddef>

#include "bernoulli.hpp"
#include "columns.hpp"
#include "losses.hpp"
#include "probabilities.hpp"
#include "tile_sums.hpp"

namespace logloss::LOGLOSS_LEVEL {

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

inline void sigmoid_rows(const MapTask& task) {
  return task.real == Type::float32 ? map_as<float, sigmoid<float>>(task)
                                    : map_as<double, sigmoid<double>>(task);
}

inline void logit_rows(const MapTask& task) {
  return task.real == Type::float32 ? map_as<float, logit<float>>(task)
                                    : map_as<double, logit<double>>(task);
}

inline bool all_hard(const Column& column, std::ptrdiff_t rows) {
  alignas(64) double tile[kTile];
  for (std::ptrdiff_t first = 0; first < rows; first += kTile) {
    const std::ptrdiff_t n = std::min(kTile, rows - first);
    load(column, first, n, tile);
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      if (tile[i] != 0 && tile[i] != 1) return false;
    }
  }
  return true;
}

inline void add(const Column& column, std::ptrdiff_t rows, ExactSum& sum) {
  alignas(64) double tile[kTile];
  for (std::ptrdiff_t first = 0; first < rows; first += kTile) {
    const std::ptrdiff_t n = std::min(kTile, rows - first);
    load(column, first, n, tile);
    add_any_tile(tile, n, sum);
  }
}

}  // namespace logloss::LOGLOSS_LEVEL
