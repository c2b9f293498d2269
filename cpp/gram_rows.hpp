// Sums of h·x·x' over rows: numbers by numbers in registers, four columns by four; levels by
// counting. No dummy column is ever stored.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bernoulli.hpp"
#include "linear.hpp"
#include "number_tile.hpp"

namespace logloss::LOGLOSS_LEVEL {

// The lanes that one register holds; the compiler splits it where registers are smaller.
#ifdef __AVX512F__
inline constexpr std::ptrdiff_t kVector = 8;
#else
inline constexpr std::ptrdiff_t kVector = 4;
#endif
#ifdef __GNUC__
using Vector [[gnu::vector_size(kVector * sizeof(double))]] = double;
#else
struct Vector {
  double value[kVector];
  double& operator[](std::ptrdiff_t l) { return value[l]; }
  double operator[](std::ptrdiff_t l) const { return value[l]; }
};
#endif

// Columns of one block of the Gram matrix: as many as registers hold sums for.
inline constexpr int kAcross = 4;
inline constexpr int kDown = kVector == 8 ? 4 : 2;

// out[i][j] += sum over rows of a_i·b_j, for kAcross columns a and kDown columns b; n is a
// multiple of kLanes. Lanes beyond a register's are summed in another round.
inline void add_block(const double* const* a, const double* const* b, std::ptrdiff_t n,
                      double (*out)[kDown]) {
  double lanes[kAcross][kDown][kLanes];
  for (std::ptrdiff_t half = 0; half < kLanes; half += kVector) {
    Vector sums[kAcross][kDown] = {};
    for (std::ptrdiff_t row = half; row < n; row += kLanes) {
      Vector x[kAcross], y[kDown];
      for (int i = 0; i < kAcross; ++i) std::memcpy(&x[i], a[i] + row, sizeof(Vector));
      for (int j = 0; j < kDown; ++j) std::memcpy(&y[j], b[j] + row, sizeof(Vector));
      for (int i = 0; i < kAcross; ++i) {
        for (int j = 0; j < kDown; ++j) {
          for (std::ptrdiff_t l = 0; l < kVector; ++l) {
            sums[i][j][l] = fused(x[i][l], y[j][l], sums[i][j][l]);
          }
        }
      }
    }
    for (int i = 0; i < kAcross; ++i) {
      for (int j = 0; j < kDown; ++j) {
        std::memcpy(lanes[i][j] + half, &sums[i][j], sizeof(Vector));
      }
    }
  }
  for (int i = 0; i < kAcross; ++i) {
    for (int j = 0; j < kDown; ++j) out[i][j] += sum_of_lanes(lanes[i][j]);
  }
}

// Rows of a Gram matrix's tile: its sums are worth adding up, and a few columns of it stay in
// the first-level cache.
inline constexpr std::ptrdiff_t kGramRows = 256;

// The upper triangle of the Gram matrix of a run of rows. Numbers come centred, as doubles,
// behind a column of ones.
template <class Real>
class GramSums {
 public:
  explicit GramSums(const LinearRows& rows)
      : rows_(rows),
        width_(rows.n_numbers + 1),
        sums_(rows.size * rows.size),
        columns_((width_ + kAcross) * kStride),
        weighted_(kAcross * kStride) {
    std::fill(column(0), column(0) + kStride, 1.0);
  }

  void add(const NumberTile<Real>& tile, std::ptrdiff_t first, std::ptrdiff_t n,
           const double* curvature) {
    for (std::ptrdiff_t done = 0; done < n; done += kGramRows) {
      add_run(tile, first + done, done, std::min(kGramRows, n - done), curvature + done);
    }
  }

  void finish(double* gram) const {
    for (std::ptrdiff_t i = 0; i < rows_.size * rows_.size; ++i) gram[i] += sums_.data()[i];
  }

 private:
  static constexpr std::ptrdiff_t kStride = kGramRows + kLanes;

  double* row(std::ptrdiff_t i) const { return sums_.data() + i * rows_.size; }
  double* column(std::ptrdiff_t j) const { return columns_.data() + j * kStride; }

  void add_run(const NumberTile<Real>& tile, std::ptrdiff_t first, std::ptrdiff_t at,
               std::ptrdiff_t n, const double* from) {
    const std::ptrdiff_t padded = (n + kLanes - 1) / kLanes * kLanes;
    alignas(64) double curvature[kGramRows];
    std::copy(from, from + n, curvature);
    std::fill(curvature + n, curvature + padded, 0.0);
    for (std::ptrdiff_t j = 1; j < width_; ++j) {
      const Real* const __restrict x = tile.column(j - 1) + at;
      double* const __restrict to = column(j);
      const double center = rows_.center[j - 1];
      for (std::ptrdiff_t i = 0; i < n; ++i) to[i] = static_cast<double>(x[i]) - center;
      std::fill(to + n, to + padded, 0.0);
    }
    add_numbers(padded, curvature);
    for (std::ptrdiff_t k = 0; k < rows_.n_codes; ++k) add_levels(first, n, curvature, k);
  }

  void add_numbers(std::ptrdiff_t n, const double* __restrict curvature) {
    for (std::ptrdiff_t i0 = 0; i0 < width_; i0 += kAcross) {
      const double* a[kAcross];
      for (std::ptrdiff_t i = 0; i < kAcross; ++i) {
        double* const __restrict weighted = weighted_.data() + i * kStride;
        const double* const __restrict x = column(i0 + i);
        for (std::ptrdiff_t r = 0; r < n; ++r) weighted[r] = curvature[r] * x[r];
        a[i] = weighted;
      }
      for (std::ptrdiff_t j0 = i0; j0 < width_; j0 += kDown) {
        const double* b[kDown];
        for (std::ptrdiff_t j = 0; j < kDown; ++j) b[j] = column(j0 + j);
        double block[kAcross][kDown] = {};
        add_block(a, b, n, block);
        for (std::ptrdiff_t i = 0; i < kAcross && i0 + i < width_; ++i) {
          for (std::ptrdiff_t j = 0; j < kDown && j0 + j < width_; ++j) {
            row(i0 + i)[j0 + j] += block[i][j];
          }
        }
      }
    }
  }

  void add_levels(std::ptrdiff_t first, std::ptrdiff_t n, const double* __restrict curvature,
                  std::ptrdiff_t k) {
    const std::ptrdiff_t start = rows_.starts[k];
    const CodeColumn codes(rows_, k, first);
    for (std::ptrdiff_t j = 0; j < width_; ++j) {
      const double* const x = column(j);
      double* const levels = row(j) + start;
      for (std::ptrdiff_t i = 0; i < n; ++i) levels[codes[i]] += curvature[i] * x[i];
    }
    for (std::ptrdiff_t other = 0; other <= k; ++other) {
      const CodeColumn others(rows_, other, first);
      const std::ptrdiff_t at = rows_.starts[other];
      for (std::ptrdiff_t i = 0; i < n; ++i) row(at + others[i])[start + codes[i]] += curvature[i];
    }
  }

  const LinearRows& rows_;
  std::ptrdiff_t width_;
  Buffer sums_;
  Buffer columns_;
  Buffer weighted_;
};

}  // namespace logloss::LOGLOSS_LEVEL
