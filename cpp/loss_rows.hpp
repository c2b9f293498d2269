// Elementwise losses over rows, tile by tile, and their exact sums: load, compute, round,
// add, store. What is computed stands in bernoulli.hpp; what rows look like in columns.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
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

// Grids, and what lies between them. Each value is split at grids so coarse that the parts of
// a whole tile add in a double without rounding, in any order: multiples of 2^-34 that sum to
// less than 2^17 need 51 bits, and so on down. What one grid leaves is below 2^-35 and adds exactly
// where its last bit is 2^-78 or more; what three leave, below 2^-121, where it is 2^-164.
inline constexpr double kGrids[] = {0x1p-34, 0x1p-77, 0x1p-120};
inline constexpr double kLargestSum = 0x1p17;  // so that every value is below it too
template <int kBits>
inline constexpr double kSmallestOfOne = kBits == 24 ? 0x1p-55 : 0x1p-26;
template <int kBits>
inline constexpr double kSmallestOfThree = kBits == 24 ? 0x0p0 : 0x1p-112;

// What three grids make of a tile whose parts on the first one are already summed.
inline void add_fine_parts(const double* values, std::ptrdiff_t n, ExactSum& sum) {
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
  for (const double part : {second, third, last}) sum.add(part);
}

// Add a tile of doubles of `kBits` significant bits to an exact sum: in two or four additions
// where the grids fit, value by value where they do not. Returns whether all are finite.
template <int kBits>
bool add_tile(const double* values, std::ptrdiff_t n, ExactSum& sum) {
  double total = 0, smallest = kInfinity, first = 0, rest = 0;
#pragma omp simd reduction(min : smallest) reduction(+ : total, first, rest)
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const double size = std::fabs(values[i]);
    const double counted = kBits == 24 || size > 0 ? size : kInfinity;
    smallest = counted < smallest ? counted : smallest;
    total += size;
    const double coarse = on_grid(values[i], kGrids[0]);
    first += coarse;
    rest += values[i] - coarse;
  }
  const bool finite = total - total == 0;
  if (finite && total < kLargestSum && smallest >= kSmallestOfOne<kBits>) {
    sum.add(first);
    sum.add(rest);
  } else if (finite && total < kLargestSum && smallest >= kSmallestOfThree<kBits>) {
    sum.add(first);
    add_fine_parts(values, n, sum);
  } else {
    for (std::ptrdiff_t i = 0; i < n; ++i) sum.add(values[i]);
  }
  return finite;
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

template <class Real, bool Plain>
struct TileRow {
  const Tile& tile;
  [[gnu::always_inline]] Bernoulli operator()(std::ptrdiff_t i) const {
    return bernoulli<Real, Plain>(tile.positive[i], tile.negative[i], tile.score[i]);
  }
};

template <class Real>
struct FocalRow {
  const Tile& tile;
  double gamma;
  [[gnu::always_inline]] Bernoulli operator()(std::ptrdiff_t i) const {
    return focal<Real>(tile.positive[i], tile.negative[i], tile.score[i], gamma);
  }
};

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

// Values of a column as they lie in memory, where they are of this type, dense and aligned.
template <class T>
const T* direct(const Column& column, Type type) {
  const bool dense = column.type == type && column.stride == static_cast<std::ptrdiff_t>(sizeof(T));
  const bool aligned = reinterpret_cast<std::uintptr_t>(column.data) % alignof(T) == 0;
  return dense && aligned ? static_cast<const T*>(column.data) : nullptr;
}

template <class Real, class Label>
struct PlainRow {
  const Label* y;
  const Real* z;
  [[gnu::always_inline]] Bernoulli operator()(std::ptrdiff_t i) const {
    const double positive = static_cast<double>(y[i]);
    return bernoulli<Real, true>(positive, 1.0 - positive, static_cast<double>(z[i]));
  }
};

// Rows without weights, straight from memory to memory; only the losses pass through a tile.
template <class Real, class Label>
void plain_rows(const Label* __restrict y, const Real* __restrict z, std::ptrdiff_t n,
                double* __restrict loss, Real* __restrict gradient, Real* __restrict hessian) {
  const PlainRow<Real, Label> row{y, z};
  if (hessian != nullptr) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const Bernoulli values = row(i);
      loss[i] = static_cast<Real>(values.loss);
      gradient[i] = static_cast<Real>(values.gradient);
      hessian[i] = static_cast<Real>(values.hessian);
    }
  } else if (gradient != nullptr) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const Bernoulli values = row(i);
      loss[i] = static_cast<Real>(values.loss);
      gradient[i] = static_cast<Real>(values.gradient);
    }
  } else {
    for (std::ptrdiff_t i = 0; i < n; ++i) loss[i] = static_cast<Real>(row(i).loss);
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
                std::ptrdiff_t n, Tile& tile, LossReport& report) {
  const auto at = [first](void* out) {
    return out == nullptr ? nullptr : static_cast<Real*>(out) + first;
  };
  // a Hessian is never asked for without the gradient
  plain_rows<Real, Label>(y, z, n, tile.loss, at(task.gradient), at(task.hessian));
  if (task.loss != nullptr) store<Real>(tile.loss, first, n, task.loss);
  const bool finite = task.sum != nullptr
                          ? add_tile<std::numeric_limits<Real>::digits>(tile.loss, n, *task.sum)
                          : all_within(tile.loss, n, 0.0, kInfinity);
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
  const std::uint8_t* bytes = nullptr;  // a negative int8 is above 1 as a byte
  for (const Type type : {Type::uint8, Type::boolean, Type::int8}) {
    if (bytes == nullptr) bytes = direct<std::uint8_t>(task.label, type);
  }
  const float* floats = direct<float>(task.label, Type::float32);
  LossReport report;
  Tile tile;
  for (std::ptrdiff_t first = 0; first < task.n; first += kTile) {
    const std::ptrdiff_t n = std::min(kTile, task.n - first);
    if (bytes != nullptr) {
      plain_tile<Real>(task, bytes + first, z + first, first, n, tile, report);
    } else if (floats != nullptr) {
      plain_tile<Real>(task, floats + first, z + first, first, n, tile, report);
    } else {
      load(task.label, first, n, tile.positive);
      plain_tile<Real>(task, tile.positive, z + first, first, n, tile, report);
    }
  }
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
