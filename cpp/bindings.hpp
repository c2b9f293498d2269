// Arrays of Python as the kernels read them, and what is bound where.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <optional>

#include "kernels.hpp"

namespace logloss {

namespace nb = nanobind;

using Input = nb::ndarray<nb::ro, nb::ndim<1>, nb::device::cpu>;
using Matrix = nb::ndarray<nb::ro, nb::ndim<2>, nb::device::cpu>;
using Output = nb::ndarray<nb::ndim<1>, nb::c_contig, nb::device::cpu>;

inline Type type_of(nb::dlpack::dtype dtype) {
  using Code = nb::dlpack::dtype_code;
  const auto code = static_cast<Code>(dtype.code);
  const auto pick = [&](Type of8, Type of16, Type of32, Type of64) {
    return dtype.bits == 8 ? of8 : dtype.bits == 16 ? of16 : dtype.bits == 32 ? of32 : of64;
  };
  if (code == Code::Bool) return Type::boolean;
  if (code == Code::Int) return pick(Type::int8, Type::int16, Type::int32, Type::int64);
  if (code == Code::UInt) return pick(Type::uint8, Type::uint16, Type::uint32, Type::uint64);
  if (code == Code::Float && dtype.bits == 32) return Type::float32;
  if (code == Code::Float && dtype.bits == 64) return Type::float64;
  throw nb::type_error("the kernel reads bool, integers, float32 and float64");
}

inline Column column_of(const Input& array) {
  return {array.data(), static_cast<std::ptrdiff_t>(array.stride(0) * (array.dtype().bits / 8)),
          type_of(array.dtype())};
}

inline const Input* address(const std::optional<Input>& array) { return array ? &*array : nullptr; }

void bind_sums(nb::module_& module);
void bind_losses(nb::class_<Kernels>& kernels);
void bind_linear(nb::class_<Kernels>& kernels);
void bind_networks(nb::module_& module);

}  // namespace logloss
