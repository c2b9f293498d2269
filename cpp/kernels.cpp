// The kernels at one instruction-set level. This file is compiled once per level, each time
// with the flags of that level and LOGLOSS_LEVEL set to its name.
#include "loss_rows.hpp"

namespace logloss::LOGLOSS_LEVEL {

namespace {

LossReport losses_from_logits(const LossTask& task) {
  return task.real == Type::float32 ? losses_from_logits_as<float>(task)
                                    : losses_from_logits_as<double>(task);
}

LossReport losses_from_probabilities(const LossTask& task) {
  return task.real == Type::float32 ? losses_from_probabilities_as<float>(task)
                                    : losses_from_probabilities_as<double>(task);
}

void sigmoid_rows(const MapTask& task) {
  return task.real == Type::float32 ? map_as<float, sigmoid<float>>(task)
                                    : map_as<double, sigmoid<double>>(task);
}

void logit_rows(const MapTask& task) {
  return task.real == Type::float32 ? map_as<float, logit<float>>(task)
                                    : map_as<double, logit<double>>(task);
}

bool all_hard(const Column& column, std::ptrdiff_t rows) {
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

void add(const Column& column, std::ptrdiff_t rows, ExactSum& sum) {
  alignas(64) double tile[kTile];
  for (std::ptrdiff_t first = 0; first < rows; first += kTile) {
    const std::ptrdiff_t n = std::min(kTile, rows - first);
    load(column, first, n, tile);
    add_any_tile(tile, n, sum);
  }
}

}  // namespace

extern const Kernels kKernels;
const Kernels kKernels = {LOGLOSS_LEVEL_NAME,
                          losses_from_logits,
                          losses_from_probabilities,
                          sigmoid_rows,
                          logit_rows,
                          all_hard,
                          add};

}  // namespace logloss::LOGLOSS_LEVEL
