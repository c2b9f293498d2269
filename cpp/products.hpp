// Products of small matrices, with their sums in registers.
#pragma once

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

template <class Real>
inline constexpr std::ptrdiff_t kValues = kRegister / static_cast<std::ptrdiff_t>(sizeof(Real));

template <class Real>
struct RegisterOf {
#ifdef __GNUC__
  using Type [[gnu::vector_size(kRegister)]] = Real;
#else
  struct Type {
    Real value[kValues<Real>];
    Real& operator[](std::ptrdiff_t l) { return value[l]; }
    Real operator[](std::ptrdiff_t l) const { return value[l]; }
  };
#endif
};

template <class Real>
using Register = typename RegisterOf<Real>::Type;

template <class Real>
[[gnu::always_inline]] inline Register<Real> all(Real value) {
  Register<Real> result;
  for (std::ptrdiff_t l = 0; l < kValues<Real>; ++l) result[l] = value;
  return result;
}

// x·y + z, in one instruction where the level has one.
template <class Real>
[[gnu::always_inline]] inline Register<Real> multiply_add(Register<Real> x, Register<Real> y,
                                                          Register<Real> z) {
  for (std::ptrdiff_t l = 0; l < kValues<Real>; ++l) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    z[l] = std::fma(x[l], y[l], z[l]);
#else
    z[l] = x[l] * y[l] + z[l];
#endif
  }
  return z;
}

template <class Real>
[[gnu::always_inline]] inline Register<Real> loaded(const Real* at) {
  Register<Real> result;
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

// Add to a block of kRows × kAcross registers.
template <int kRows, int kAcross, class Real>
[[gnu::always_inline]] inline void add_block(Left<Real> left, const Real* right,
                                             std::ptrdiff_t stride, std::ptrdiff_t depth, Real* out,
                                             std::ptrdiff_t out_stride) {
  constexpr std::ptrdiff_t kSize = kValues<Real>;
  Register<Real> sums[kRows][kAcross];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kAcross; ++j) sums[i][j] = loaded(out + i * out_stride + j * kSize);
  }
  for (std::ptrdiff_t k = 0; k < depth; ++k) {
    Register<Real> y[kAcross];
#pragma GCC unroll 2
    for (int j = 0; j < kAcross; ++j) y[j] = loaded(right + k * stride + j * kSize);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const Register<Real> x = all(left.at[i * left.row + k * left.depth]);
#pragma GCC unroll 2
      for (int j = 0; j < kAcross; ++j) sums[i][j] = multiply_add<Real>(x, y[j], sums[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kAcross; ++j) {
      std::memcpy(out + i * out_stride + j * kSize, &sums[i][j], sizeof(Register<Real>));
    }
  }
}

template <int kAcross, class Real>
void add_across(Left<Real> left, const Real* right, std::ptrdiff_t stride, std::ptrdiff_t rows,
                std::ptrdiff_t depth, Real* out, std::ptrdiff_t out_stride) {
  const auto add = [&]<int kRows>(std::ptrdiff_t i) {
    const Left<Real> from = {left.at + i * left.row, left.row, left.depth};
    add_block<kRows, kAcross>(from, right, stride, depth, out + i * out_stride, out_stride);
  };
  std::ptrdiff_t i = 0;
  for (; i + kBlockRows <= rows; i += kBlockRows) add.template operator()<kBlockRows>(i);
  for (; i + kBlockRows / 2 <= rows; i += kBlockRows / 2) {
    add.template operator()<kBlockRows / 2>(i);
  }
  for (; i < rows; ++i) add.template operator()<1>(i);
}

// out += left × right. The rows of the right factor and of `out` are `stride` and `out_stride`
// apart, and as wide as `width`, a multiple of a register's values.
template <class Real>
void add_product(Left<Real> left, const Real* right, std::ptrdiff_t stride, std::ptrdiff_t rows,
                 std::ptrdiff_t depth, std::ptrdiff_t width, Real* out, std::ptrdiff_t out_stride) {
  std::ptrdiff_t j = 0;
  for (; j + 2 * kValues<Real> <= width; j += 2 * kValues<Real>) {
    add_across<2>(left, right + j, stride, rows, depth, out + j, out_stride);
  }
  for (; j < width; j += kValues<Real>) {
    add_across<1>(left, right + j, stride, rows, depth, out + j, out_stride);
  }
}

}  // namespace logloss::LOGLOSS_LEVEL
