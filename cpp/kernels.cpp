// The kernels at one instruction-set level. This file is compiled once per level, each time
// with the flags of that level and LOGLOSS_LEVEL set to its name.
#include "kernels.hpp"

#include "loss_rows.hpp"

namespace logloss::LOGLOSS_LEVEL {

extern const Kernels kKernels;
const Kernels kKernels = {LOGLOSS_LEVEL_NAME,
                          losses_from_logits,
                          losses_from_probabilities,
                          sigmoid_rows,
                          logit_rows,
                          all_hard,
                          add};

}  // namespace logloss::LOGLOSS_LEVEL
