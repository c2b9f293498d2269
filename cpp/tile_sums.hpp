// Exact sums of a tile, in fixed point.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "arithmetic.hpp"
#include "exact_sum.hpp"

namespace logloss::LOGLOSS_LEVEL {

// Sums in fixed point. Adding 2^52 units to a value that is not below 0 leaves, in the low 52
// bits of the result, the number of units in it, rounded; subtracting them again leaves the rest,
// exactly, for the next window, whose units are 2^-52 of these: rests are scaled up by 2^52, so
// that all windows have the units of the first. Integers add without rounding, in any order. Rests
// have signs: from the second window on, 1½·2^52 units keep the sum in its binade.
template <int kWindows>
struct Windows {
  int exponent[kWindows];  // of the units, before scaling
  double shift[kWindows];

  // For values of [0, 2^top), or, with `sign`, of (-2^top, 2^top).
  constexpr Windows(int top, bool sign) {
    const int units = top + (sign ? 1 : 0) - 52;
    const double highest = std::bit_cast<double>(std::uint64_t(1023 + 52 + units) << 52);
    for (int k = 0; k < kWindows; ++k) {
      exponent[k] = units - 52 * k;
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
  // scaled in multiply-adds, which run beside additions; the product is exact
  const auto take = [&windows](int k, double& rest, std::uint64_t& units) {
    const double shift = windows.shift[k];
    const double shifted = k == 0 ? rest + shift : fused(rest, 0x1p52, shift);
    units += std::bit_cast<std::uint64_t>(shifted);
    rest = k == 0 ? rest - (shifted - shift) : fused(rest, 0x1p52, shift - shifted);
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

// Add a tile of finite values, of any sign, the size of the largest being known: value by value
// where five windows do not hold them.
template <class T>
[[gnu::noinline]] void add_finite_tile(const T* values, std::ptrdiff_t n, double largest,
                                       ExactSum& sum) {
  int top = 0;
  std::frexp(largest, &top);
  if (top < 900 && top > -700) {
    const Windows<5> windows(top, true);
    const Counts counts = count(values, n, windows);
    if (!counts.finer) return add_counts(counts, windows, sum);
  }
  for (std::ptrdiff_t i = 0; i < n; ++i) sum.add(static_cast<double>(values[i]));
}

// Add a tile of any values. Returns whether all are finite.
template <class T>
bool add_any_tile(const T* values, std::ptrdiff_t n, ExactSum& sum) {
  double largest = 0;
  std::ptrdiff_t endless = 0;  // infinite, or NaN
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const double size = std::fabs(static_cast<double>(values[i]));
    endless += !(size < kInfinity);
    largest = size > largest ? size : largest;
  }
  if (endless == 0) {
    add_finite_tile(values, n, largest, sum);
    return true;
  }
  for (std::ptrdiff_t i = 0; i < n; ++i) sum.add(static_cast<double>(values[i]));
  return false;
}

// Add a tile of losses, which fill windows from 2^7 down nearly always: as few of them as hold
// all bits, beginning with what the tile before has needed, `windows`. Returns whether all
// losses are finite. Each number of windows is a function of its own: together they would share
// too few registers.
template <int kWindows = 1, class T>
[[gnu::noinline]] bool add_tile(const T* losses, std::ptrdiff_t n, ExactSum& sum, int& windows) {
  constexpr int kTop = 7;
  if (windows <= kWindows) {
    const Windows<kWindows> grid(kTop, false);
    const Counts counts = count(losses, n, grid);
    if (!(counts.largest < kInfinity)) return add_any_tile(losses, n, sum);
    if (counts.largest >= 1 << kTop) {
      add_finite_tile(losses, n, counts.largest, sum);
      return true;
    }
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

}  // namespace logloss::LOGLOSS_LEVEL
