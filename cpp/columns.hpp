// Strided, typed views of memory → tiles of doubles in the first-level cache. This is the one
// place where dtypes are told apart; everything after it computes on tiles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace logloss {

enum class Type : std::int32_t {
  boolean,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float32,
  float64
};

// `stride` counts bytes: 0 broadcasts one value, negative ones walk backwards.
struct Column {
  const void* data = nullptr;
  std::ptrdiff_t stride = 0;
  Type type = Type::float64;
};

}  // namespace logloss

namespace logloss::LOGLOSS_LEVEL {

// Rows of one tile: what is computed from a tile is still in the first-level cache, and the
// windows of tile_sums.hpp have bits for this many parts.
inline constexpr std::ptrdiff_t kTile = 1024;

template <class T>
void load_as(const Column& column, std::ptrdiff_t first, std::ptrdiff_t n, double* out) {
  const char* at = static_cast<const char*>(column.data) + first * column.stride;
  if (column.stride == static_cast<std::ptrdiff_t>(sizeof(T))) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      T value;
      std::memcpy(&value, at + i * static_cast<std::ptrdiff_t>(sizeof(T)), sizeof(T));
      out[i] = static_cast<double>(value);
    }
    return;
  }
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    T value;
    std::memcpy(&value, at + i * column.stride, sizeof(T));
    out[i] = static_cast<double>(value);
  }
}

// Rows [first, first + n) of a column, as doubles.
inline void load(const Column& column, std::ptrdiff_t first, std::ptrdiff_t n, double* out) {
  switch (column.type) {
    case Type::boolean:
    case Type::uint8:
      return load_as<std::uint8_t>(column, first, n, out);
    case Type::int8:
      return load_as<std::int8_t>(column, first, n, out);
    case Type::int16:
      return load_as<std::int16_t>(column, first, n, out);
    case Type::int32:
      return load_as<std::int32_t>(column, first, n, out);
    case Type::int64:
      return load_as<std::int64_t>(column, first, n, out);
    case Type::uint16:
      return load_as<std::uint16_t>(column, first, n, out);
    case Type::uint32:
      return load_as<std::uint32_t>(column, first, n, out);
    case Type::uint64:
      return load_as<std::uint64_t>(column, first, n, out);
    case Type::float32:
      return load_as<float>(column, first, n, out);
    case Type::float64:
      return load_as<double>(column, first, n, out);
  }
}

}  // namespace logloss::LOGLOSS_LEVEL
