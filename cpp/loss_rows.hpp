// Losses of rows from logits: plain rows straight from memory, others tile by tile; load, compute,
// round, add, store. What is computed stands in bernoulli.hpp and focal.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <type_traits>

#include "bernoulli.hpp"
#include "focal.hpp"
#include "loss_tiles.hpp"

namespace logloss::LOGLOSS_LEVEL {

template <class Real, bool Plain>
struct TileRow {
  const Tile& tile;
  [[gnu::always_inline]] auto operator()(std::ptrdiff_t i) const {
    if constexpr (sizeof(Real) == sizeof(double)) {
      return bernoulli<Plain>(tile.positive[i], tile.negative[i], tile.score[i]);
    } else if constexpr (Plain) {
      return bernoulli(static_cast<float>(tile.positive[i]), static_cast<float>(tile.negative[i]),
                       static_cast<float>(tile.score[i]));
    } else {
      return bernoulli_short(tile.positive[i], tile.negative[i], tile.score[i]);
    }
  }
};

template <class Real>
struct FocalRow {
  const Tile& tile;
  double gamma;
  [[gnu::always_inline]] Bernoulli<double> operator()(std::ptrdiff_t i) const {
    return focal<Real>(tile.positive[i], tile.negative[i], tile.score[i], gamma);
  }
};

// What is not stored is not computed: the compiler drops it.
template <class Row>
void evaluate(const LossTask& task, std::ptrdiff_t n, Tile& tile, const Row& row) {
  if (task.hessian != nullptr) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const auto values = row(i);
      tile.loss[i] = values.loss;
      tile.gradient[i] = values.gradient;
      tile.hessian[i] = values.hessian;
    }
  } else if (task.gradient != nullptr) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const auto values = row(i);
      tile.loss[i] = values.loss;
      tile.gradient[i] = values.gradient;
    }
  } else {
    for (std::ptrdiff_t i = 0; i < n; ++i) tile.loss[i] = row(i).loss;
  }
}

// 1 - y, rounded once to Real; an integer label fits into Real.
template <class Real, class Label>
[[gnu::always_inline]] inline Real other(Label y) {
  using Wide = std::conditional_t<std::is_same_v<Label, double>, double, Real>;
  return static_cast<Real>(Wide{1} - static_cast<Wide>(y));
}

// The row of a label and a logit as they lie in memory.
template <class Label>
[[gnu::always_inline]] inline Bernoulli<float> plain_row(Label y, float z) {
  return bernoulli(static_cast<float>(y), other<float>(y), z);
}

template <class Label>
[[gnu::always_inline]] inline Bernoulli<double> plain_row(Label y, double z) {
  return bernoulli<true>(static_cast<double>(y), other<double>(y), z);
}

// Rows without weights, straight from memory to memory.
template <class Real, class Label>
void plain_rows(const Label* __restrict y, const Real* __restrict z, std::ptrdiff_t n,
                Real* __restrict loss, Real* __restrict gradient, Real* __restrict hessian) {
  if (hessian != nullptr) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const Bernoulli<Real> values = plain_row(y[i], z[i]);
      loss[i] = values.loss;
      gradient[i] = values.gradient;
      hessian[i] = values.hessian;
    }
  } else if (gradient != nullptr) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const Bernoulli<Real> values = plain_row(y[i], z[i]);
      loss[i] = values.loss;
      gradient[i] = values.gradient;
    }
  } else {
    for (std::ptrdiff_t i = 0; i < n; ++i) loss[i] = plain_row(y[i], z[i]).loss;
  }
}

template <class T>
bool all_labels(const T* y, std::ptrdiff_t n) {
  int outside = 0;
  for (std::ptrdiff_t i = 0; i < n; ++i) outside += !(y[i] >= T{0} && y[i] <= T{1});
  return outside == 0;
}

template <class Real, class Label>
void plain_tile(const LossTask& task, const Label* y, const Real* z, std::ptrdiff_t first,
                std::ptrdiff_t n, Real* buffer, Tile& tile, LossReport& report) {
  const auto at = [first](void* out) {
    return out == nullptr ? nullptr : static_cast<Real*>(out) + first;
  };
  Real* const loss = task.loss != nullptr ? at(task.loss) : buffer;
  // a Hessian is never asked for without the gradient
  plain_rows<Real, Label>(y, z, n, loss, at(task.gradient), at(task.hessian));
  const bool finite = task.sum != nullptr
                          ? add_tile(loss, n, *task.sum, tile.windows)
                          : all_within<Real>(loss, n, 0, std::numeric_limits<Real>::infinity());
  if (!finite) {  // what breaks a rule is looked for only where a loss is NaN or infinite
    load(task.score, first, n, tile.score);
    note(report.bad_score, tile.score, first, n, -kInfinity, kInfinity);
  }
  if (report.bad_label < 0 && !all_labels(y, n)) {
    load(task.label, first, n, tile.positive);
    note(report.bad_label, tile.positive, first, n, 0.0, 1.0);
  }
}

template <class Real>
LossReport plain_losses(const LossTask& task, const Real* z) {
  LossReport report;
  Tile tile;
  alignas(64) Real loss[kTile];
  each_tile(task, tile, [&](const auto* y, std::ptrdiff_t first, std::ptrdiff_t n) {
    plain_tile<Real>(task, y, z + first, first, n, loss, tile, report);
  });
  return report;
}

template <class Real>
LossReport losses_from_logits_as(const LossTask& task) {
  const bool weighted = task.weight != nullptr || task.positive_weight != nullptr;
  if (const Real* z = direct<Real>(task.score, task.real);
      z != nullptr && !weighted && task.smoothing == 0 && task.gamma == 0) {
    return plain_losses(task, z);
  }
  LossReport report;
  Tile tile;
  for (std::ptrdiff_t first = 0; first < task.n; first += kTile) {
    const std::ptrdiff_t n = std::min(kTile, task.n - first);
    load_masses(task, first, n, tile, report);
    load(task.score, first, n, tile.score);
    note(report.bad_score, tile.score, first, n, -kInfinity, kInfinity);
    if (task.gamma != 0) {
      evaluate(task, n, tile, FocalRow<Real>{tile, task.gamma});
    } else if (task.positive_weight != nullptr) {
      evaluate(task, n, tile, TileRow<Real, false>{tile});
    } else {
      evaluate(task, n, tile, TileRow<Real, true>{tile});
    }
    finish_tile<Real>(task, first, n, tile, report);
  }
  return report;
}

inline LossReport losses_from_logits(const LossTask& task) {
  return task.real == Type::float32 ? losses_from_logits_as<float>(task)
                                    : losses_from_logits_as<double>(task);
}

}  // namespace logloss::LOGLOSS_LEVEL
