// One scan of a linear predictor: from each tile of rows its logits, losses, gradient and Gram
// matrix, while the tile is in the second-level cache.
//
// The bits of a row's logit depend on the row alone: not on the layout of the matrix, nor on
// the tile. Losses and gradients are summed without error (exact_sum.hpp, grid_sum.hpp), Gram
// matrices and moments in eight lanes, so that a run of rows gives the same bits at every level.
#pragma once

#include <algorithm>
#include <optional>

#include "bernoulli.hpp"
#include "gram_rows.hpp"
#include "linear.hpp"
#include "loss_tiles.hpp"
#include "number_tile.hpp"
#include "prefetch.hpp"

namespace logloss::LOGLOSS_LEVEL {

// Columns that share one pass over the sums of a tile's rows.
inline constexpr std::ptrdiff_t kTogether = 8;

// sums += x'beta of eight columns from `at` on, but for the first `met` of them, for kOctets times
// eight dense rows: one multiply-add a column, in the order of the columns. Sums of one row wait
// for each other, those of several do not.
template <std::ptrdiff_t kOctets, class Real>
[[gnu::always_inline]] inline void add_columns(const LinearRows& rows, const NumberTile<Real>& tile,
                                               std::ptrdiff_t i, std::ptrdiff_t at,
                                               std::ptrdiff_t met, const double* beta,
                                               double (&sums)[kOctets][kLanes]) {
  alignas(64) Real block[kOctets][kLanes * kLanes];
  for (std::ptrdiff_t o = 0; o < kOctets; ++o) {
    const Real* const from = tile.row(i + o * kLanes) + at;
    transpose<Real>(reinterpret_cast<const char*>(from), tile.row_stride(), block[o], kLanes);
  }
#pragma GCC unroll 8
  for (std::ptrdiff_t c = met; c < kLanes; ++c) {
    const double center = rows.center[at + c], b = beta[1 + at + c];
    for (std::ptrdiff_t o = 0; o < kOctets; ++o) {
      for (std::ptrdiff_t l = 0; l < kLanes; ++l) {
        const double x = static_cast<double>(block[o][c * kLanes + l]);
        sums[o][l] = fused(x - center, b, sums[o][l]);
      }
    }
  }
}

// z += x'beta for dense rows from `first` on, kOctets times eight at a time; returns where fewer
// are left.
template <std::ptrdiff_t kOctets, class Real>
std::ptrdiff_t add_octets(const LinearRows& rows, const NumberTile<Real>& tile,
                          std::ptrdiff_t first, std::ptrdiff_t n, const double* beta,
                          double* __restrict z) {
  const std::ptrdiff_t whole = rows.n_numbers / kLanes * kLanes;
  std::ptrdiff_t i = first;
  for (; i + kOctets * kLanes <= n; i += kOctets * kLanes) {
    double sums[kOctets][kLanes];
    std::memcpy(sums, z + i, sizeof(sums));
    for (std::ptrdiff_t j = 0; j < whole; j += kLanes) {
      add_columns<kOctets>(rows, tile, i, j, 0, beta, sums);
    }
    if (whole < rows.n_numbers) {
      const std::ptrdiff_t at = rows.n_numbers - kLanes;
      add_columns<kOctets>(rows, tile, i, at, whole - at, beta, sums);
    }
    std::memcpy(z + i, sums, sizeof(sums));
  }
  return i;
}

// z += x'beta for a tile of dense rows.
template <class Real>
void products_by_rows(const LinearRows& rows, const NumberTile<Real>& tile, std::ptrdiff_t n,
                      const double* beta, double* __restrict z) {
  std::ptrdiff_t i = add_octets<2>(rows, tile, 0, n, beta, z);
  i = add_octets<1>(rows, tile, i, n, beta, z);
  for (; i < n; ++i) {
    const Real* const x = tile.row(i);
    for (std::ptrdiff_t j = 0; j < rows.n_numbers; ++j) {
      z[i] = fused(static_cast<double>(x[j]) - rows.center[j], beta[1 + j], z[i]);
    }
  }
}

// The same by columns.
template <class Real>
void products_by_columns(const LinearRows& rows, const NumberTile<Real>& tile, std::ptrdiff_t n,
                         const double* beta, double* __restrict z) {
  std::ptrdiff_t j = 0;
  for (; j + kTogether <= rows.n_numbers; j += kTogether) {
    const Real* x[kTogether];
    for (std::ptrdiff_t c = 0; c < kTogether; ++c) x[c] = tile.column(j + c);
    const double* const center = rows.center + j;
    const double* const b = beta + 1 + j;
#pragma omp simd
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      double sum = z[i];
#pragma GCC unroll 8
      for (std::ptrdiff_t c = 0; c < kTogether; ++c) {
        sum = fused(static_cast<double>(x[c][i]) - center[c], b[c], sum);
      }
      z[i] = sum;
    }
  }
  for (; j < rows.n_numbers; ++j) {
    const Real* const __restrict x = tile.column(j);
    const double center = rows.center[j], b = beta[1 + j];
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      z[i] = fused(static_cast<double>(x[i]) - center, b, z[i]);
    }
  }
}

// z = x'beta for a tile.
template <class Real>
void products(const LinearRows& rows, const NumberTile<Real>& tile, std::ptrdiff_t first,
              std::ptrdiff_t n, const double* beta, double* __restrict z) {
  std::fill(z, z + n, beta[0]);
  if (tile.by_rows()) {
    products_by_rows(rows, tile, n, beta, z);
  } else {
    products_by_columns(rows, tile, n, beta, z);
  }
  for (std::ptrdiff_t k = 0; k < rows.n_codes; ++k) {
    const double* const levels = beta + rows.starts[k];
    const CodeColumn codes(rows, k, first);
    for (std::ptrdiff_t i = 0; i < n; ++i) z[i] += levels[codes[i]];
  }
}

// Sums of residual·x, each term rounded to its coefficient's grid. The levels of a code column
// share one grid; their parts are kept until kGridTerms rows have been added.
class GradientSums {
 public:
  GradientSums(const LinearRows& rows, const GridSums& sums)
      : rows_(rows), sums_(sums), first_level_(rows.n_numbers + 1), levels_(rows.size) {}

  template <class Real>
  void add(const NumberTile<Real>& tile, std::ptrdiff_t first, std::ptrdiff_t n,
           const double* __restrict residual) {
    const double grid = rounder(sums_.grid[0]);
    double all = 0;
#pragma omp simd reduction(+ : all)
    for (std::ptrdiff_t i = 0; i < n; ++i) all += (residual[i] + grid) - grid;
    sums_.add(0, all);
    if (tile.by_rows()) {
      add_by_rows(tile, n, residual);
    } else {
      add_by_columns(tile, n, residual);
    }
    add_levels(first, n, residual);
  }

  void finish() {
    flush();
    sums_.carry(rows_.size);
  }

 private:
  template <class Real>
  void add_by_columns(const NumberTile<Real>& tile, std::ptrdiff_t n,
                      const double* __restrict residual) {
    for (std::ptrdiff_t j = 0; j < rows_.n_numbers; ++j) {
      const Real* const __restrict x = tile.column(j);
      const double center = rows_.center[j], shift = rounder(sums_.grid[1 + j]);
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::ptrdiff_t i = 0; i < n; ++i) {
        sum += fused(residual[i], static_cast<double>(x[i]) - center, shift) - shift;
      }
      sums_.add(1 + j, sum);
    }
  }

  // Sixteen columns at a time, the last of which may have been met; meanwhile the rows of the next
  // tile are on their way from memory.
  template <class Real>
  void add_by_rows(const NumberTile<Real>& tile, std::ptrdiff_t n,
                   const double* __restrict residual) {
    for (std::ptrdiff_t j = 0; j < rows_.n_numbers; j += kLanes) {
      const std::ptrdiff_t at = std::min(j, rows_.n_numbers - kLanes);
      double center[kLanes], shift[kLanes], sums[kLanes] = {};
      for (std::ptrdiff_t l = 0; l < kLanes; ++l) {
        center[l] = rows_.center[at + l];
        shift[l] = rounder(sums_.grid[1 + at + l]);
      }
      for (std::ptrdiff_t i = 0; i < n; ++i) {
        const Real* const x = tile.row(i) + at;
        prefetch(x + n * tile.row_stride() / static_cast<std::ptrdiff_t>(sizeof(Real)));
        for (std::ptrdiff_t l = 0; l < kLanes; ++l) {
          sums[l] += fused(residual[i], static_cast<double>(x[l]) - center[l], shift[l]) - shift[l];
        }
      }
      for (std::ptrdiff_t c = j; c < at + kLanes; ++c) sums_.add(1 + c, sums[c - at]);
    }
  }

  void add_levels(std::ptrdiff_t first, std::ptrdiff_t n, const double* residual) {
    if (pending_ + n > kGridTerms) flush();
    pending_ += n;
    for (std::ptrdiff_t k = 0; k < rows_.n_codes; ++k) {
      double* const levels = levels_.data() + rows_.starts[k];
      const double shift = rounder(sums_.grid[rows_.starts[k]]);
      const CodeColumn codes(rows_, k, first);
      for (std::ptrdiff_t i = 0; i < n; ++i) levels[codes[i]] += (residual[i] + shift) - shift;
    }
  }

  void flush() {
    for (std::ptrdiff_t j = first_level_; j < rows_.size; ++j) {
      sums_.add(j, levels_.data()[j]);
      levels_.data()[j] = 0;
    }
    pending_ = 0;
  }

  const LinearRows& rows_;
  GridSums sums_;
  std::ptrdiff_t first_level_;
  Buffer levels_;
  std::ptrdiff_t pending_ = 0;
};

// One tile's rows besides the numbers.
struct RowTile {
  int windows = 1;  // that the last tile's sum has needed
  alignas(64) double y[kTile];
  alignas(64) double weight[kTile];
  alignas(64) double offset[kTile];
  alignas(64) double linear[kTile];  // x'beta
  alignas(64) double along[kTile];   // x'direction
  alignas(64) double loss[kTile];
  alignas(64) double residual[kTile];
  alignas(64) double curvature[kTile];
};

inline void weigh(const double* __restrict weight, std::ptrdiff_t n, double* __restrict values) {
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    values[i] = weight[i] == 0 ? 0.0 : values[i] * weight[i];
  }
}

// Losses of a tile at its logits, and how many derivatives are asked for.
template <int kDerivatives>
void tile_losses(const LinearTask& task, std::ptrdiff_t n, const double* __restrict z,
                 RowTile& tile, ExactSum& sum) {
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const Bernoulli<double> row = bernoulli<true>(tile.y[i], 1.0 - tile.y[i], z[i]);
    tile.loss[i] = row.loss;
    if constexpr (kDerivatives > 0) tile.residual[i] = row.gradient;
    if constexpr (kDerivatives > 1) tile.curvature[i] = row.hessian;
  }
  if (task.weight != nullptr) {
    weigh(tile.weight, n, tile.loss);
    if constexpr (kDerivatives > 0) weigh(tile.weight, n, tile.residual);
    if constexpr (kDerivatives > 1) weigh(tile.weight, n, tile.curvature);
  }
  add_tile(tile.loss, n, sum, tile.windows);
}

// Extremes over the rows of positive weight.
template <class Real>
void tile_extremes(LinearTask& task, const NumberTile<Real>& numbers, std::ptrdiff_t n,
                   const RowTile& tile, double* __restrict squares) {
  std::fill(squares, squares + n, 1.0 + static_cast<double>(task.rows.n_codes));
  for (std::ptrdiff_t j = 0; j < task.rows.n_numbers; ++j) {
    const Real* const __restrict x = numbers.column(j);
    const double center = task.rows.center[j], unit = task.inverse_scale[j];
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const double length = (static_cast<double>(x[i]) - center) * unit;
      squares[i] = fused(length, length, squares[i]);
    }
  }
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    if (task.weight != nullptr && tile.weight[i] == 0) continue;
    const bool hard = tile.y[i] == 0 || tile.y[i] == 1;
    const double margin = tile.y[i] == 1 ? tile.linear[i] : -tile.linear[i];
    task.longest = std::max(task.longest, squares[i]);
    task.margin = std::min(task.margin, hard ? margin : -kInfinity);
  }
}

// Losses at each trial step along a direction.
template <class Real>
void tile_trials(const LinearTask& task, const NumberTile<Real>& numbers, std::ptrdiff_t first,
                 std::ptrdiff_t n, const double* z, RowTile& tile) {
  products(task.rows, numbers, first, n, task.direction, tile.along);
  for (std::ptrdiff_t t = 0; t < task.n_steps; ++t) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      tile.residual[i] = fused(task.steps[t], tile.along[i], z[i]);
    }
    tile_losses<0>(task, n, tile.residual, tile, task.loss[t]);
  }
}

template <class Real>
void linear_scan_as(LinearTask& task) {
  const LinearRows& rows = task.rows;
  const std::ptrdiff_t step = tile_rows(rows.n_numbers);
  NumberTile<Real> numbers(rows, step, task.gram != nullptr || task.inverse_scale != nullptr);
  RowTile tile;
  std::optional<GradientSums> gradient;
  if (task.gradient.grid != nullptr) gradient.emplace(rows, task.gradient);
  std::optional<GramSums<Real>> gram;
  if (task.gram != nullptr) gram.emplace(rows);
  for (std::ptrdiff_t first = 0; first < rows.n; first += step) {
    const std::ptrdiff_t n = std::min(step, rows.n - first);
    numbers.move_to(first, n);
    load(task.label, first, n, tile.y);
    if (task.weight != nullptr) load(*task.weight, first, n, tile.weight);
    products(rows, numbers, first, n, task.beta, tile.linear);
    const double* z = tile.linear;
    if (task.offset != nullptr) {
      load(*task.offset, first, n, tile.offset);
      for (std::ptrdiff_t i = 0; i < n; ++i) tile.offset[i] += tile.linear[i];
      z = tile.offset;
    }
    if (task.n_steps > 0) {
      tile_trials(task, numbers, first, n, z, tile);
    } else if (gram) {
      tile_losses<2>(task, n, z, tile, *task.loss);
      gram->add(numbers, first, n, tile.curvature);
    } else if (gradient) {
      tile_losses<1>(task, n, z, tile, *task.loss);
    } else {
      tile_losses<0>(task, n, z, tile, *task.loss);
    }
    if (gradient) gradient->add(numbers, first, n, tile.residual);
    if (task.inverse_scale != nullptr) tile_extremes(task, numbers, n, tile, tile.along);
  }
  if (gradient) gradient->finish();
  if (gram) gram->finish(task.gram);
}

template <class Real>
void linear_products_as(const ProductTask& task) {
  const std::ptrdiff_t step = tile_rows(task.rows.n_numbers);
  NumberTile<Real> numbers(task.rows, step, false);
  for (std::ptrdiff_t first = 0; first < task.rows.n; first += step) {
    const std::ptrdiff_t n = std::min(step, task.rows.n - first);
    numbers.move_to(first, n);
    products(task.rows, numbers, first, n, task.beta, task.out + first);
  }
}

}  // namespace logloss::LOGLOSS_LEVEL
