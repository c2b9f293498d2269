// Products of small matrices, with their sums in registers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

namespace logloss::LOGLOSS_LEVEL {

// Bytes of one register, and the block of sums that all registers hold: rows of two.
#if defined(__AVX512F__)
inline constexpr std::ptrdiff_t kRegister = 64;
inline constexpr int kBlockRows = 8;
#elif defined(__AVX__)
inline constexpr std::ptrdiff_t kRegister = 32;
inline constexpr int kBlockRows = 6;
#else
inline constexpr std::ptrdiff_t kRegister = 16;
inline constexpr int kBlockRows = 4;
#endif

// Values of a register, or of a part of one.
template <class Real, std::ptrdiff_t kBytes = kRegister>
inline constexpr std::ptrdiff_t kValues = kBytes / static_cast<std::ptrdiff_t>(sizeof(Real));

template <class Real, std::ptrdiff_t kBytes>
struct RegisterOf {
#ifdef __GNUC__
  using Type [[gnu::vector_size(kBytes)]] = Real;
#else
  struct Type {
    Real value[kValues<Real, kBytes>];
    Real& operator[](std::ptrdiff_t l) { return value[l]; }
    Real operator[](std::ptrdiff_t l) const { return value[l]; }
  };
#endif
};

template <class Real, std::ptrdiff_t kBytes = kRegister>
using Register = typename RegisterOf<Real, kBytes>::Type;

template <class Real, std::ptrdiff_t kBytes = kRegister>
[[gnu::always_inline]] inline Register<Real, kBytes> all(Real value) {
  Register<Real, kBytes> result;
  for (std::ptrdiff_t l = 0; l < kValues<Real, kBytes>; ++l) result[l] = value;
  return result;
}

// x·y + z, in one instruction where the level has one.
template <class Real, std::ptrdiff_t kBytes = kRegister>
[[gnu::always_inline]] inline Register<Real, kBytes> multiply_add(Register<Real, kBytes> x,
                                                                  Register<Real, kBytes> y,
                                                                  Register<Real, kBytes> z) {
  for (std::ptrdiff_t l = 0; l < kValues<Real, kBytes>; ++l) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    z[l] = std::fma(x[l], y[l], z[l]);
#else
    z[l] = x[l] * y[l] + z[l];
#endif
  }
  return z;
}

template <class Real, std::ptrdiff_t kBytes = kRegister>
[[gnu::always_inline]] inline Register<Real, kBytes> loaded(const Real* at) {
  Register<Real, kBytes> result;
  std::memcpy(&result, at, sizeof(result));
  return result;
}

// x'y of n values.
template <class Real>
[[gnu::always_inline]] inline Real dot(const Real* x, const Real* y, std::ptrdiff_t n) {
  constexpr std::ptrdiff_t kSize = kValues<Real>;
  Register<Real> sums = all(Real{0});
  std::ptrdiff_t i = 0;
  for (; i + kSize <= n; i += kSize) sums = multiply_add<Real>(loaded(x + i), loaded(y + i), sums);
  Real lanes[kSize];
  std::memcpy(lanes, &sums, sizeof(lanes));
  for (std::ptrdiff_t half = kSize / 2; half > 0; half /= 2) {
    for (std::ptrdiff_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  for (; i < n; ++i) lanes[0] += x[i] * y[i];
  return lanes[0];
}

// The left factor: its element (i, k) is at i·row + k·depth.
template <class Real>
struct Left {
  const Real* at;
  std::ptrdiff_t row, depth;
};

// Add to a block of kRows × kAcross registers, or parts of registers.
template <int kRows, int kAcross, std::ptrdiff_t kBytes, class Real>
[[gnu::always_inline]] inline void add_block(Left<Real> left, const Real* right,
                                             std::ptrdiff_t stride, std::ptrdiff_t depth, Real* out,
                                             std::ptrdiff_t out_stride) {
  using Part = Register<Real, kBytes>;
  constexpr std::ptrdiff_t kSize = kValues<Real, kBytes>;
  Part sums[kRows][kAcross];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kAcross; ++j) {
      sums[i][j] = loaded<Real, kBytes>(out + i * out_stride + j * kSize);
    }
  }
  // two pointers, so that four rows each are a register and its multiples away
  const Real* upper = left.at;
  const Real* lower = left.at + kRows / 2 * left.row;
  for (std::ptrdiff_t k = 0; k < depth; ++k) {
    Part y[kAcross];
#pragma GCC unroll 2
    for (int j = 0; j < kAcross; ++j) y[j] = loaded<Real, kBytes>(right + j * kSize);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const Real* const at =
          i < kRows / 2 ? upper + i * left.row : lower + (i - kRows / 2) * left.row;
      const Part x = all<Real, kBytes>(*at);
#pragma GCC unroll 2
      for (int j = 0; j < kAcross; ++j) {
        sums[i][j] = multiply_add<Real, kBytes>(x, y[j], sums[i][j]);
      }
    }
    upper += left.depth;
    lower += left.depth;
    right += stride;
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kAcross; ++j) {
      std::memcpy(out + i * out_stride + j * kSize, &sums[i][j], sizeof(Part));
    }
  }
}

// Not inlined: where it is, what stands around it takes the registers of its strides.
template <int kAcross, std::ptrdiff_t kBytes, class Real>
[[gnu::noinline]] void add_across(Left<Real> left, const Real* right, std::ptrdiff_t stride,
                                  std::ptrdiff_t rows, std::ptrdiff_t depth, Real* out,
                                  std::ptrdiff_t out_stride) {
  const auto add = [&]<int kRows>(std::ptrdiff_t i) {
    const Left<Real> from = {left.at + i * left.row, left.row, left.depth};
    add_block<kRows, kAcross, kBytes>(from, right, stride, depth, out + i * out_stride, out_stride);
  };
  std::ptrdiff_t i = 0;
  for (; i + kBlockRows <= rows; i += kBlockRows) add.template operator()<kBlockRows>(i);
  for (; i + kBlockRows / 2 <= rows; i += kBlockRows / 2) {
    add.template operator()<kBlockRows / 2>(i);
  }
  for (; i < rows; ++i) add.template operator()<1>(i);
}

// out += left × right, `width` columns wide. The rows of the right factor and of `out` are
// `stride` and `out_stride` apart, and filled up to a multiple of a register's values. What is
// left for the last register is done in a half or a quarter of one where that holds it.
template <class Real>
void add_product(Left<Real> left, const Real* right, std::ptrdiff_t stride, std::ptrdiff_t rows,
                 std::ptrdiff_t depth, std::ptrdiff_t width, Real* out, std::ptrdiff_t out_stride) {
  constexpr std::ptrdiff_t kSize = kValues<Real>,
                           kHalf = std::max<std::ptrdiff_t>(kRegister / 2, 16),
                           kQuarter = std::max<std::ptrdiff_t>(kRegister / 4, 16);
  const auto add = [&]<int kAcross, std::ptrdiff_t kBytes>(std::ptrdiff_t j) {
    add_across<kAcross, kBytes>(left, right + j, stride, rows, depth, out + j, out_stride);
  };
  std::ptrdiff_t j = 0;
  for (; j + kSize < width; j += 2 * kSize) add.template operator()<2, kRegister>(j);
  const std::ptrdiff_t rest = width - j;
  if (rest <= 0) return;
  if (rest <= kValues<Real, kQuarter>) return add.template operator()<1, kQuarter>(j);
  if (rest <= kValues<Real, kHalf>) return add.template operator()<1, kHalf>(j);
  add.template operator()<1, kRegister>(j);
}

}  // namespace logloss::LOGLOSS_LEVEL
