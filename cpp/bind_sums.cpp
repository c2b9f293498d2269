// Exact sums.
#include <cstring>
#include <new>

#include "bindings.hpp"

namespace logloss {

using namespace nb::literals;

namespace {

nb::bytes state_of(const ExactSum& sum) {
  const ExactSum::State state = sum.state();
  return nb::bytes(reinterpret_cast<const char*>(state.data()), sizeof(state));
}

ExactSum sum_of(const nb::bytes& bytes) {
  ExactSum::State state;
  if (bytes.size() != sizeof(state)) throw nb::value_error("not the state of an ExactSum");
  std::memcpy(state.data(), bytes.c_str(), sizeof(state));
  return ExactSum::from_state(state);
}

// The exact sum of each row of a matrix.
void sum_rows(const Matrix& values, nb::ndarray<double, nb::ndim<1>, nb::c_contig> out) {
  const Type type = type_of(values.dtype());
  const std::ptrdiff_t bytes = values.dtype().bits / 8;
  const auto rows = static_cast<std::ptrdiff_t>(values.shape(0));
  if (static_cast<std::ptrdiff_t>(out.shape(0)) != rows) {
    throw nb::type_error("the output must have an entry per row");
  }
  const Kernels& kernels = *best_kernels();
  double* const sums = out.data();
  nb::gil_scoped_release unlocked;
  for (std::ptrdiff_t i = 0; i < rows; ++i) {
    const char* const row = static_cast<const char*>(values.data()) + i * values.stride(0) * bytes;
    ExactSum sum;
    kernels.add({row, values.stride(1) * bytes, type}, values.shape(1), sum);
    sums[i] = sum.value();
  }
}

}  // namespace

void bind_sums(nb::module_& module) {
  module.def("sum_rows", &sum_rows, "values"_a, "out"_a);
  nb::class_<ExactSum>(module, "ExactSum")
      .def(nb::init<>())
      .def(
          "add",
          [](ExactSum& self, const Input& values) {
            const Column column = column_of(values);
            const auto n = static_cast<std::ptrdiff_t>(values.shape(0));
            nb::gil_scoped_release unlocked;
            best_kernels()->add(column, n, self);
          },
          "values"_a)
      .def(
          "merge", [](ExactSum& self, const ExactSum& other) { self.add(other); }, "other"_a)
      .def_prop_ro("value", &ExactSum::value)
      .def("__getstate__", &state_of)
      .def("__setstate__",
           [](ExactSum& self, const nb::bytes& state) { new (&self) ExactSum(sum_of(state)); });
}

}  // namespace logloss
