// Elementwise losses over rows, tile by tile, and their exact sums: load, compute, round,
// add, store. What is computed stands in bernoulli.hpp; what rows look like in columns.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "bernoulli.hpp"
#include "columns.hpp"
#include "exact_sum.hpp"
#include "losses.hpp"

namespace logloss::LOGLOSS_LEVEL {

// Sums in fixed point. Adding 2^52 units to a value that is not below 0 leaves, in the low 52
// bits of the result, the number of units in it, rounded; subtracting them again leaves the rest,
// exactly, for the next window, whose units are 2^-52 of these. Integers add without rounding, in
// any order. Rests have signs: from the second window on, 1½·2^52 units keep the sum in its binade.
template <int kWindows>
struct Windows {
  int exponent[kWindows];  // of the units
  double shift[kWindows];

  // For values of [0, 2^top), or, with `sign`, of (-2^top, 2^top).
  constexpr Windows(int top, bool sign) {
    for (int k = 0; k < kWindows; ++k) {
      exponent[k] = top + (sign ? 1 : 0) - 52 * (k + 1);
      const double highest = std::bit_cast<double>(std::uint64_t(1023 + 52 + exponent[k]) << 52);
      shift[k] = (sign || k > 0 ? 1.5 : 1.0) * highest;
    }
  }
};

struct Counts {
  std::uint64_t units[5] = {};
  bool finer = false;  // whether a value has bits below the last window
  double largest = 0;  // of values that have no sign; above all others if one has, or is NaN
};

template <int kWindows, class T>
Counts count(const T* values, std::ptrdiff_t n, const Windows<kWindows>& windows) {
  // as integers, the bits of numbers without a sign are ordered as these are, NaN highest
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr bool kAll = sizeof(T) == 4 && kWindows == 3;  // hold every bit of a float32
  const auto take = [&windows](int k, double& rest, std::uint64_t& units) {
    const double shifted = rest + windows.shift[k];
    units += std::bit_cast<std::uint64_t>(shifted);
    rest -= shifted - windows.shift[k];
  };
  std::uint64_t first = 0, second = 0, third = 0, fourth = 0, fifth = 0, left = 0;
  Bits largest = 0;
#pragma omp simd reduction(+ : first, second, third, fourth, fifth) reduction(| : left) \
    reduction(max : largest)
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const Bits bits = std::bit_cast<Bits>(values[i]);
    largest = bits > largest ? bits : largest;
    double rest = static_cast<double>(values[i]);
    take(0, rest, first);
    if constexpr (kWindows > 1) take(1, rest, second);
    if constexpr (kWindows > 2) take(2, rest, third);
    if constexpr (kWindows > 3) take(3, rest, fourth);
    if constexpr (kWindows > 4) take(4, rest, fifth);
    if constexpr (!kAll) left |= std::bit_cast<std::uint64_t>(rest);
  }
  Counts counts{{first, second, third, fourth, fifth}};
  for (int k = 0; k < kWindows; ++k) {
    counts.units[k] -=
        static_cast<std::uint64_t>(n) * std::bit_cast<std::uint64_t>(windows.shift[k]);
  }
  counts.finer = left << 1 != 0;  // -0 leaves a sign
  const T size = std::bit_cast<T>(largest);
  counts.largest = size >= 0 ? size : kInfinity;
  return counts;
}

template <int kWindows>
void add_counts(const Counts& counts, const Windows<kWindows>& windows, ExactSum& sum) {
  for (int k = 0; k < kWindows; ++k) {
    sum.add_units(static_cast<std::int64_t>(counts.units[k]), windows.exponent[k]);
  }
}

// Add a tile of values of any size and sign: value by value where five windows do not hold them.
// Returns whether all are finite.
template <class T>
bool add_any_tile(const T* values, std::ptrdiff_t n, ExactSum& sum) {
  double largest = 0;
  std::ptrdiff_t endless = 0;  // infinite, or NaN
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const double size = std::fabs(static_cast<double>(values[i]));
    endless += !(size < kInfinity);
    largest = size > largest ? size : largest;
  }
  const bool finite = endless == 0;
  int top = 0;
  std::frexp(finite ? largest : 0.0, &top);
  if (finite && top < 900 && top > -700) {
    const Windows<5> windows(top, true);
    const Counts counts = count(values, n, windows);
    if (!counts.finer) {
      add_counts(counts, windows, sum);
      return true;
    }
  }
  for (std::ptrdiff_t i = 0; i < n; ++i) sum.add(static_cast<double>(values[i]));
  return finite;
}

// Add a tile of losses, which fill windows from 2^7 down nearly always: as few of them as hold
// all bits, beginning with what the tile before has needed, `windows`. Returns whether all
// losses are finite.
template <int kWindows = 1, class T>
bool add_tile(const T* losses, std::ptrdiff_t n, ExactSum& sum, int& windows) {
  constexpr int kTop = 7;
  if (windows <= kWindows) {
    const Windows<kWindows> grid(kTop, false);
    const Counts counts = count(losses, n, grid);
    if (!(counts.largest < 1 << kTop)) return add_any_tile(losses, n, sum);
    if (!counts.finer) {
      add_counts(counts, grid, sum);
      windows = std::max(counts.units[kWindows - 1] == 0 ? kWindows - 1 : kWindows, 1);
      return true;
    }
    windows = std::min(kWindows + 1, 5);
  }
  if constexpr (kWindows < 5) return add_tile<kWindows + 1>(losses, n, sum, windows);
  return add_any_tile(losses, n, sum);
}

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

// Values of a column as they lie in memory, where they are of this type, dense and aligned.
template <class T>
const T* direct(const Column& column, Type type) {
  const bool dense = column.type == type && column.stride == static_cast<std::ptrdiff_t>(sizeof(T));
  const bool aligned = reinterpret_cast<std::uintptr_t>(column.data) % alignof(T) == 0;
  return dense && aligned ? static_cast<const T*>(column.data) : nullptr;
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

// ------------------------------------------------------------------- what the table names

inline LossReport losses_from_logits(const LossTask& task) {
  return task.real == Type::float32 ? losses_from_logits_as<float>(task)
                                    : losses_from_logits_as<double>(task);
}

inline LossReport losses_from_probabilities(const LossTask& task) {
  return task.real == Type::float32 ? losses_from_probabilities_as<float>(task)
                                    : losses_from_probabilities_as<double>(task);
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
