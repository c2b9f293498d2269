// Losses of rows from probabilities: plain rows straight from memory, others tile by tile. What is
// computed stands in probabilities.hpp.
#pragma once

#include <algorithm>
#include <cstddef>

#include "loss_tiles.hpp"
#include "probabilities.hpp"

namespace logloss::LOGLOSS_LEVEL {

// Probabilities of any masses, clipped as asked.
template <class Real>
void probability_tile(const LossTask& task, std::ptrdiff_t first, std::ptrdiff_t n, Tile& tile,
                      LossReport& report) {
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
    const auto loss =
        sizeof(Real) == sizeof(float) ? loss_from_probability_short : loss_from_probability<double>;
    tile.loss[i] = loss(tile.positive[i], tile.negative[i], tile.score[i], task.limit);
  }
  if (task.gradient != nullptr) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      tile.gradient[i] =
          derivative_from_probability(tile.positive[i], tile.negative[i], tile.score[i]);
    }
  }
  finish_tile<Real>(task, first, n, tile, report);
}

// Whether the labels are 0 or 1, and the probabilities between them.
template <class Label>
bool is_plain(const Label* y, const float* p, std::ptrdiff_t n) {
  int outside = 0;
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const bool hard = y[i] == Label{0} || y[i] == Label{1};
    outside += !(hard && p[i] >= 0.0f && p[i] <= 1.0f);
  }
  return outside == 0;
}

// Rows without weights or clipping, straight from memory, tile by tile where they are plain.
inline LossReport plain_probabilities(const LossTask& task, const float* p) {
  LossReport report;
  Tile tile;
  alignas(64) float buffer[kTile];
  each_tile(task, tile, [&](const auto* y, std::ptrdiff_t first, std::ptrdiff_t n) {
    if (!is_plain(y, p + first, n)) return probability_tile<float>(task, first, n, tile, report);
    float* const loss = task.loss != nullptr ? static_cast<float*>(task.loss) + first : buffer;
    for (std::ptrdiff_t i = 0; i < n; ++i) loss[i] = surprise(y[i] != 0, p[first + i]);
    if (task.sum != nullptr) add_tile(loss, n, *task.sum, tile.windows);
  });
  return report;
}

template <class Real>
LossReport losses_from_probabilities_as(const LossTask& task) {
  const bool weighted = task.weight != nullptr || task.positive_weight != nullptr;
  const bool clipped = task.low > 0 || task.high < 1 || task.limit != kInfinity;
  if constexpr (sizeof(Real) == sizeof(float)) {
    const float* p = direct<float>(task.score, task.real);
    if (p != nullptr && !weighted && !clipped && task.smoothing == 0 && task.gradient == nullptr) {
      return plain_probabilities(task, p);
    }
  }
  LossReport report;
  Tile tile;
  for (std::ptrdiff_t first = 0; first < task.n; first += kTile) {
    probability_tile<Real>(task, first, std::min(kTile, task.n - first), tile, report);
  }
  return report;
}

inline LossReport losses_from_probabilities(const LossTask& task) {
  return task.real == Type::float32 ? losses_from_probabilities_as<float>(task)
                                    : losses_from_probabilities_as<double>(task);
}

}  // namespace logloss::LOGLOSS_LEVEL
