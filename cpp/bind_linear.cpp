// Scans of linear predictors.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <tuple>
#include <vector>

#include "bindings.hpp"

namespace logloss {

using namespace nb::literals;

namespace {

using Doubles = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Integers = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using DoublesOut = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using IntegersOut = nb::ndarray<std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using BytesOut = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using SquareOut = nb::ndarray<double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

void require(bool holds, const char* message) {
  if (!holds) throw nb::type_error(message);
}

Cells cells_of(const Matrix& array) {
  const std::ptrdiff_t bytes = array.dtype().bits / 8;
  return {static_cast<const char*>(array.data()),
          static_cast<std::ptrdiff_t>(array.stride(0)) * bytes,
          static_cast<std::ptrdiff_t>(array.stride(1)) * bytes, type_of(array.dtype())};
}

LinearRows rows_of(const Matrix& numbers, const Matrix& codes, const Doubles& center,
                   const Integers& starts, std::ptrdiff_t size) {
  LinearRows rows;
  rows.n = static_cast<std::ptrdiff_t>(numbers.shape(0));
  rows.n_numbers = static_cast<std::ptrdiff_t>(numbers.shape(1));
  rows.n_codes = static_cast<std::ptrdiff_t>(codes.shape(1));
  rows.numbers = cells_of(numbers);
  rows.codes = cells_of(codes);
  rows.center = center.data();
  rows.starts = starts.data();
  rows.size = size;
  const Type type = rows.numbers.type;
  require(type == Type::float32 || type == Type::float64, "numbers must be float32 or float64");
  require(rows.codes.type == Type::int32, "codes must be int32");
  require(static_cast<std::ptrdiff_t>(codes.shape(0)) == rows.n, "codes must have all rows");
  require(static_cast<std::ptrdiff_t>(center.shape(0)) == rows.n_numbers &&
              static_cast<std::ptrdiff_t>(starts.shape(0)) == rows.n_codes && size > rows.n_numbers,
          "centers, starts and coefficients must belong to the numbers and the codes");
  return rows;
}

Column rows_column(const Input& array, std::ptrdiff_t n) {
  require(static_cast<std::ptrdiff_t>(array.shape(0)) == n, "all columns must have all rows");
  return column_of(array);
}

// What stands beside the numbers and codes of n rows; tasks point into it.
class Columns {
 public:
  Columns(std::ptrdiff_t n, const Input& label, const std::optional<Input>& weight,
          const std::optional<Input>& offset)
      : label_(rows_column(label, n)),
        weight_(weight ? std::optional(rows_column(*weight, n)) : std::nullopt),
        offset_(offset ? std::optional(rows_column(*offset, n)) : std::nullopt) {}

  LinearTask task(const LinearRows& rows, const Doubles& beta) const {
    LinearTask task;
    task.rows = rows;
    task.label = label_;
    task.weight = weight_ ? &*weight_ : nullptr;
    task.offset = offset_ ? &*offset_ : nullptr;
    task.beta = beta.data();
    return task;
  }

 private:
  Column label_;
  std::optional<Column> weight_, offset_;
};

using Extremes = std::tuple<double, double>;

Extremes linear_scan(const Kernels& kernels, const Matrix& numbers, const Matrix& codes,
                     const Doubles& center, const Integers& starts, const Doubles& beta,
                     const Input& label, std::optional<Input> weight, std::optional<Input> offset,
                     ExactSum* loss, std::optional<Doubles> grid, std::optional<IntegersOut> high,
                     std::optional<IntegersOut> low, std::optional<SquareOut> gram,
                     std::optional<Doubles> inverse_scale) {
  const auto size = static_cast<std::ptrdiff_t>(beta.shape(0));
  const LinearRows rows = rows_of(numbers, codes, center, starts, size);
  const Columns columns(rows.n, label, weight, offset);
  LinearTask task = columns.task(rows, beta);
  task.loss = loss;
  const auto fits = [size](const auto& array) {
    return static_cast<std::ptrdiff_t>(array.shape(0)) == size;
  };
  if (grid) {
    require(high && low && fits(*grid) && fits(*high) && fits(*low), "a sum per coefficient");
    task.gradient = {grid->data(), high->data(), low->data()};
  }
  if (gram) {
    require(grid && fits(*gram) && static_cast<std::ptrdiff_t>(gram->shape(1)) == size,
            "a Gram matrix has a row and a column per coefficient, and comes with a gradient");
    task.gram = gram->data();
  }
  if (inverse_scale) {
    require(static_cast<std::ptrdiff_t>(inverse_scale->shape(0)) == task.rows.n_numbers,
            "a scale per number");
    task.inverse_scale = inverse_scale->data();
  }
  nb::gil_scoped_release unlocked;
  kernels.linear_scan(task);
  return {task.longest, task.margin};
}

// Losses at beta + step·direction, a sum for each step.
void linear_trials(const Kernels& kernels, const Matrix& numbers, const Matrix& codes,
                   const Doubles& center, const Integers& starts, const Doubles& beta,
                   const Doubles& direction, const Doubles& steps, const Input& label,
                   std::optional<Input> weight, std::optional<Input> offset, const nb::list& sums) {
  const auto size = static_cast<std::ptrdiff_t>(beta.shape(0));
  const LinearRows rows = rows_of(numbers, codes, center, starts, size);
  const Columns columns(rows.n, label, weight, offset);
  LinearTask task = columns.task(rows, beta);
  require(direction.shape(0) == beta.shape(0), "a direction has a value per coefficient");
  require(steps.shape(0) == sums.size(), "a sum per step");
  task.direction = direction.data();
  task.steps = steps.data();
  task.n_steps = static_cast<std::ptrdiff_t>(steps.shape(0));
  std::vector<ExactSum> losses(sums.size());
  task.loss = losses.data();
  {
    nb::gil_scoped_release unlocked;
    kernels.linear_scan(task);
  }
  for (std::size_t t = 0; t < losses.size(); ++t) nb::cast<ExactSum&>(sums[t]).add(losses[t]);
}

void linear_products(const Kernels& kernels, const Matrix& numbers, const Matrix& codes,
                     const Doubles& center, const Integers& starts, const Doubles& beta,
                     DoublesOut out) {
  ProductTask task;
  task.rows = rows_of(numbers, codes, center, starts, static_cast<std::ptrdiff_t>(beta.shape(0)));
  require(static_cast<std::ptrdiff_t>(out.shape(0)) == task.rows.n, "a product per row");
  task.beta = beta.data();
  task.out = out.data();
  nb::gil_scoped_release unlocked;
  kernels.linear_products(task);
}

void moments(const Kernels& kernels, const Matrix& numbers, const Doubles& shift,
             std::optional<Input> weight, DoublesOut first, DoublesOut second, DoublesOut low,
             DoublesOut high, BytesOut two_valued) {
  MomentTask task;
  task.rows.n = static_cast<std::ptrdiff_t>(numbers.shape(0));
  task.rows.n_numbers = static_cast<std::ptrdiff_t>(numbers.shape(1));
  task.rows.numbers = cells_of(numbers);
  task.rows.center = shift.data();
  const Type type = task.rows.numbers.type;
  require(type == Type::float32 || type == Type::float64, "numbers must be float32 or float64");
  for (const std::size_t width : {shift.shape(0), first.shape(0), second.shape(0), low.shape(0),
                                  high.shape(0), two_valued.shape(0)}) {
    require(width == numbers.shape(1), "an entry per number");
  }
  const Column weights = weight ? rows_column(*weight, task.rows.n) : Column{};
  task.weight = weight ? &weights : nullptr;
  task.first = first.data();
  task.second = second.data();
  task.low = low.data();
  task.high = high.data();
  task.two_valued = two_valued.data();
  nb::gil_scoped_release unlocked;
  kernels.moments(task);
}

}  // namespace

void bind_linear(nb::class_<Kernels>& kernels) {
  kernels
      .def("linear_scan", &linear_scan, "numbers"_a, "codes"_a, "center"_a, "starts"_a, "beta"_a,
           "label"_a, "weight"_a.none(), "offset"_a.none(), "loss"_a, "grid"_a.none(),
           "high"_a.none(), "low"_a.none(), "gram"_a.none(), "inverse_scale"_a.none())
      .def("linear_trials", &linear_trials, "numbers"_a, "codes"_a, "center"_a, "starts"_a,
           "beta"_a, "direction"_a, "steps"_a, "label"_a, "weight"_a.none(), "offset"_a.none(),
           "sums"_a)
      .def("linear_products", &linear_products, "numbers"_a, "codes"_a, "center"_a, "starts"_a,
           "beta"_a, "out"_a)
      .def("moments", &moments, "numbers"_a, "shift"_a, "weight"_a.none(), "first"_a, "second"_a,
           "low"_a, "high"_a, "two_valued"_a);
}

}  // namespace logloss
