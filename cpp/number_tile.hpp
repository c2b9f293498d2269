// Tiles of a matrix of numbers: columns of some rows that stay in the second-level cache.
// Columns that lie dense in memory are read in place, others are first gathered.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "columns.hpp"
#include "linear.hpp"

namespace logloss::LOGLOSS_LEVEL {

// Sums over rows run in eight lanes, row i in lane i mod 8, added up in one order at the end.
inline constexpr std::ptrdiff_t kLanes = 8;

inline double sum_of_lanes(const double* lanes) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

// Bytes of a tile: half of a small second-level cache.
inline constexpr std::ptrdiff_t kTileBytes = 1 << 18;

// Rows of a tile: a power of two, so that tiles end where any larger ones do.
inline std::ptrdiff_t tile_rows(std::ptrdiff_t n_numbers) {
  std::ptrdiff_t rows = kTile;
  while (rows > 64 && rows * n_numbers * 8 > kTileBytes) rows /= 2;
  return rows;
}

// Doubles that begin on a cache line, all zero.
class Buffer {
 public:
  explicit Buffer(std::ptrdiff_t size) : held_(static_cast<std::size_t>(size + kLanes)) {
    void* at = held_.data();
    std::size_t space = held_.size() * sizeof(double);
    data_ = static_cast<double*>(
        std::align(64, static_cast<std::size_t>(size) * sizeof(double), at, space));
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  double* data() const { return data_; }

 private:
  std::vector<double> held_;
  double* data_;
};

// One column of codes, from row `first` on.
class CodeColumn {
 public:
  CodeColumn(const LinearRows& rows, std::ptrdiff_t k, std::ptrdiff_t first)
      : at_(rows.codes.data + k * rows.codes.column_stride + first * rows.codes.row_stride),
        stride_(rows.codes.row_stride) {}

  std::int32_t operator[](std::ptrdiff_t i) const {
    std::int32_t code;
    std::memcpy(&code, at_ + i * stride_, sizeof(code));
    return code;
  }

 private:
  const char* at_;
  std::ptrdiff_t stride_;
};

// Eight rows of eight values from rows `row_stride` bytes apart to columns `stride` values apart.
template <class Real>
inline void transpose(const char* from, std::ptrdiff_t row_stride, Real* to,
                      std::ptrdiff_t stride) {
#ifdef __GNUC__
  using Row [[gnu::vector_size(kLanes * sizeof(Real))]] = Real;
  Row rows[kLanes], mixed[kLanes];
  for (std::ptrdiff_t i = 0; i < kLanes; ++i) {
    std::memcpy(&rows[i], from + i * row_stride, sizeof(Row));
  }
  // three perfect shuffles
  for (int round = 0; round < 3; ++round) {
    for (std::ptrdiff_t i = 0; i < kLanes / 2; ++i) {
      const Row x = rows[i], y = rows[i + kLanes / 2];
      mixed[2 * i] = __builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11);
      mixed[2 * i + 1] = __builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15);
    }
    for (std::ptrdiff_t i = 0; i < kLanes; ++i) rows[i] = mixed[i];
  }
  for (std::ptrdiff_t j = 0; j < kLanes; ++j) std::memcpy(to + j * stride, &rows[j], sizeof(Row));
#else
  for (std::ptrdiff_t j = 0; j < kLanes; ++j) {
    for (std::ptrdiff_t i = 0; i < kLanes; ++i) {
      std::memcpy(to + j * stride + i,
                  from + i * row_stride + j * static_cast<std::ptrdiff_t>(sizeof(Real)),
                  sizeof(Real));
    }
  }
#endif
}

// One tile at a time of a matrix of Reals, by columns, or by rows where they lie dense.
template <class Real>
class NumberTile {
 public:
  // `columns`: whether columns are asked for even where rows lie dense.
  NumberTile(const LinearRows& rows, std::ptrdiff_t n_rows, bool columns)
      : cells_(rows.numbers),
        n_numbers_(rows.n_numbers),
        // columns begin on different cache sets
        stride_(n_rows + 2 * kLanes),
        direct_(cells_.row_stride == kSize && cells_.column_stride % kSize == 0 && aligned()),
        by_rows_(cells_.column_stride == kSize && cells_.row_stride % kSize == 0 && aligned() &&
                 n_numbers_ >= kLanes),
        gathered_(!direct_ && (columns || !by_rows_)),
        held_(gathered_ ? n_numbers_ * stride_ : 0) {}

  void move_to(std::ptrdiff_t first, std::ptrdiff_t n) {
    first_ = first;
    if (gathered_) gather(n);
  }

  const Real* column(std::ptrdiff_t j) const {
    if (gathered_) return held() + j * stride_;
    return reinterpret_cast<const Real*>(cells_.data + j * cells_.column_stride) + first_;
  }

  // Whether rows lie dense, and hold no fewer numbers than there are lanes.
  bool by_rows() const { return by_rows_; }

  const Real* row(std::ptrdiff_t i) const {
    return reinterpret_cast<const Real*>(cells_.data + (first_ + i) * cells_.row_stride);
  }

  std::ptrdiff_t row_stride() const { return cells_.row_stride; }

 private:
  static constexpr std::ptrdiff_t kSize = sizeof(Real);

  bool aligned() const {
    return reinterpret_cast<std::uintptr_t>(cells_.data) % alignof(Real) == 0;
  }

  Real* held() const { return reinterpret_cast<Real*>(held_.data()); }

  void gather(std::ptrdiff_t n) {
    const bool dense = cells_.column_stride == kSize;
    for (std::ptrdiff_t i = 0; i < n; i += kLanes) {
      const char* const row = cells_.data + (first_ + i) * cells_.row_stride;
      std::ptrdiff_t j = 0;
      if (dense && i + kLanes <= n) {
        for (; j + kLanes <= n_numbers_; j += kLanes) {
          transpose<Real>(row + j * kSize, cells_.row_stride, held() + j * stride_ + i, stride_);
        }
      }
      for (; j < n_numbers_; ++j) {
        for (std::ptrdiff_t l = i; l < std::min(n, i + kLanes); ++l) {
          std::memcpy(held() + j * stride_ + l,
                      cells_.data + (first_ + l) * cells_.row_stride + j * cells_.column_stride,
                      sizeof(Real));
        }
      }
    }
  }

  Cells cells_;
  std::ptrdiff_t n_numbers_, stride_;
  bool direct_, by_rows_, gathered_;
  Buffer held_;
  std::ptrdiff_t first_ = 0;
};

}  // namespace logloss::LOGLOSS_LEVEL
