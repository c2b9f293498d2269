// Sums of many terms whose size is bounded beforehand, exact by construction: every term is
// rounded to a multiple of one grid, so that adding them loses nothing, in any order.
//
// With |term| <= 2^43 grids, a term is an integer below 2^43 of them, kGridTerms terms add in a
// double, and their sums add as integers of 128 bits, held in two words.
#pragma once

#include <cstddef>
#include <cstdint>

namespace logloss {

// Terms that a double adds exactly: 2^10 integers below 2^43 stay below 2^53.
inline constexpr std::ptrdiff_t kGridTerms = 1024;
// Grids in the largest term.
inline constexpr double kGridsInBound = 0x1p43;

// A vector of sums in the caller's memory: entry j is (high·2^32 + low)·grid, 0 <= low < 2^32
// after `carry`. Merging adds both words, then carries: the words depend on the terms alone.
struct GridSums {
  const double* grid = nullptr;  // powers of two
  std::int64_t* high = nullptr;
  std::int64_t* low = nullptr;

  // `part` is a sum of at most kGridTerms terms on the grid of entry j.
  void add(std::ptrdiff_t j, double part) const {
    const auto units = static_cast<std::int64_t>(part / grid[j]);
    high[j] += units >> 32;
    low[j] += units & 0xffffffff;
  }

  void carry(std::ptrdiff_t size) const {
    for (std::ptrdiff_t j = 0; j < size; ++j) {
      high[j] += low[j] >> 32;
      low[j] &= 0xffffffff;
    }
  }
};

// What, added to and taken from a term below 2^51 grids, rounds it to the grid.
constexpr double rounder(double grid) { return 0x1.8p52 * grid; }

}  // namespace logloss
