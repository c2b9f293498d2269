// The module: arrays in, arrays and plain values out. Only the files whose names begin with `bind`
// know Python. Every function works on one run of rows in the calling thread, without the
// interpreter's lock.
#include "bindings.hpp"

#include <nanobind/stl/string.h>

#include <string>

namespace nb = nanobind;
using namespace nb::literals;

namespace logloss {
namespace {

void bind_kernels(nb::module_& module) {
  nb::class_<Kernels> kernels(module, "Kernels");
  kernels.def_prop_ro("level", [](const Kernels& self) { return std::string(self.level); });
  bind_losses(kernels);
  bind_linear(kernels);
  module.def("best_kernels", &best_kernels, nb::rv_policy::reference);
  module.def(
      "kernels_at", [](const std::string& level) { return kernels_at(level.c_str()); },
      nb::rv_policy::reference, "level"_a);
}

}  // namespace
}  // namespace logloss

NB_MODULE(_core, module) {
  // tables of functions live as long as the process; that is no leak to warn users of
  nb::set_leak_warnings(false);
  module.doc() = "Kernels of logloss; logloss.kernel is their only caller.";
  module.attr("compiler") = LOGLOSS_COMPILER;
  logloss::bind_sums(module);
  logloss::bind_kernels(module);
  logloss::bind_networks(module);
}
