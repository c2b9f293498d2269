// The kernels at one instruction-set level. This file is compiled once per level, each time
// with the flags of that level and LOGLOSS_LEVEL set to its name.
#include "kernels.hpp"

#include "adamw_steps.hpp"
#include "dense_rows.hpp"
#include "linear_rows.hpp"
#include "loss_rows.hpp"
#include "map_rows.hpp"
#include "moment_rows.hpp"
#include "probability_rows.hpp"

namespace logloss::LOGLOSS_LEVEL {

namespace {

void linear_scan(LinearTask& task) {
  return task.rows.numbers.type == Type::float32 ? linear_scan_as<float>(task)
                                                 : linear_scan_as<double>(task);
}

void linear_products(const ProductTask& task) {
  return task.rows.numbers.type == Type::float32 ? linear_products_as<float>(task)
                                                 : linear_products_as<double>(task);
}

void moments(const MomentTask& task) {
  return task.rows.numbers.type == Type::float32 ? moments_as<float>(task)
                                                 : moments_as<double>(task);
}

void step_adamw(const AdamTask& task) {
  return task.real == Type::float32 ? step_adamw_as<float>(task) : step_adamw_as<double>(task);
}

double pass_dense(const DenseTask& task) {
  return task.real == Type::float32 ? pass_dense_as<float>(task) : pass_dense_as<double>(task);
}

}  // namespace

extern const Kernels kKernels;
const Kernels kKernels = {LOGLOSS_LEVEL_NAME,
                          losses_from_logits,
                          losses_from_probabilities,
                          sigmoid_rows,
                          logit_rows,
                          all_hard,
                          add,
                          linear_scan,
                          linear_products,
                          moments,
                          step_adamw,
                          pass_dense};

}  // namespace logloss::LOGLOSS_LEVEL
