// What a network of dense layers is asked, and how much room it computes in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "losses.hpp"

namespace logloss {

// The activations whose derivative is known from their value.
enum class Activation { relu, tanh, sigmoid };

// Widths are filled up to a multiple of this: whole registers of any level and dtype.
inline constexpr std::ptrdiff_t kWidth = 16;
// Rows that go forward and back together, while their units are in the cache.
inline constexpr std::ptrdiff_t kRun = 256;

inline std::ptrdiff_t padded(std::ptrdiff_t width) {
  return (width + kWidth - 1) / kWidth * kWidth;
}

// Arrays are contiguous, of the task's dtype, and begin with an axis of members.
struct DenseLayer {
  std::ptrdiff_t inputs = 0;
  std::ptrdiff_t units = 0;
  const void* weight = nullptr;  // inputs × units
  const void* bias = nullptr;    // units
  void* of_weight = nullptr;     // gradients
  void* of_bias = nullptr;
  Activation activation = Activation::relu;  // the last layer has none
};

// Networks of one form side by side, their members: the last layer is one logit wide.
struct DenseTask {
  std::ptrdiff_t members = 0;
  std::ptrdiff_t rows = 0;
  Type real = Type::float32;
  std::vector<DenseLayer> layers;
  const void* x = nullptr;  // rows × inputs, of each member or of all
  bool x_of_all = true;     // whether x has no axis of members
  // which rows of an x of all they are, where it has others too
  const std::int64_t* picked = nullptr;
  void* logits = nullptr;         // members × rows; the last layer's products are added to them
  void* residual = nullptr;       // members × rows: gradient by the logits
  void* of_x = nullptr;           // members × rows × inputs: gradient by x, unless null
  LossTask losses;                // what the loss is; the labels are those of all members
  const void* weights = nullptr;  // members × rows: of the rows
  double scale = 1;               // of the gradients
  void* room = nullptr;           // for room_of(layers) values, on a cache line
};

// Values that a pass over one member computes in: a run of picked rows, and for each layer its
// weights, upright and turned, and their gradients, its units and theirs.
inline std::ptrdiff_t room_of(const std::vector<DenseLayer>& layers) {
  std::ptrdiff_t size = kRun * padded(layers.front().inputs);
  for (const DenseLayer& layer : layers) {
    const std::ptrdiff_t inputs = padded(layer.inputs), units = padded(layer.units);
    size += 3 * inputs * units + 2 * units + 2 * kRun * units + kRun * inputs;
  }
  return size;
}

}  // namespace logloss
