// The table of kernels: the same for every instruction-set level.
#pragma once

#include <cstddef>

#include "adamw.hpp"
#include "dense_layers.hpp"
#include "linear.hpp"
#include "losses.hpp"

namespace logloss {

struct Kernels {
  const char* level;
  LossReport (*losses_from_logits)(const LossTask&);
  LossReport (*losses_from_probabilities)(const LossTask&);
  void (*sigmoid)(const MapTask&);
  void (*logit)(const MapTask&);
  bool (*all_hard)(const Column&, std::ptrdiff_t n);  // whether every value is 0 or 1
  void (*add)(const Column&, std::ptrdiff_t n, ExactSum&);
  void (*linear_scan)(LinearTask&);
  void (*linear_products)(const ProductTask&);
  void (*moments)(const MomentTask&);
  void (*step_adamw)(const AdamTask&);
  double (*pass_dense)(const DenseTask&);  // sum of the losses
};

// The best table that this processor can run, or the one named; null if it cannot run that.
const Kernels* best_kernels();
const Kernels* kernels_at(const char* level);

}  // namespace logloss
