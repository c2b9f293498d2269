// The only file that knows Python: arrays in, arrays and plain values out. Every function
// works on one run of rows in the calling thread, without the interpreter's lock.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "kernels.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace logloss {
namespace {

using Input = nb::ndarray<nb::ro, nb::ndim<1>, nb::device::cpu>;
using Matrix = nb::ndarray<nb::ro, nb::ndim<2>, nb::device::cpu>;
using Output = nb::ndarray<nb::ndim<1>, nb::c_contig, nb::device::cpu>;

Type type_of(nb::dlpack::dtype dtype) {
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

Column column_of(const Input& array) {
  return {array.data(), static_cast<std::ptrdiff_t>(array.stride(0) * (array.dtype().bits / 8)),
          type_of(array.dtype())};
}

void* output_of(std::optional<Output>& array, Type real, std::ptrdiff_t n) {
  if (!array) return nullptr;
  if (type_of(array->dtype()) != real || static_cast<std::ptrdiff_t>(array->shape(0)) != n) {
    throw nb::type_error("an output must have the dtype and the length of the scores");
  }
  return array->data();
}

const Input* address(const std::optional<Input>& array) { return array ? &*array : nullptr; }

// lowest and highest probability, and the largest -log p
using Clip = std::tuple<double, double, double>;
constexpr Clip kNoClip = {0.0, 1.0, std::numeric_limits<double>::infinity()};

using LossFunction = LossReport (*Kernels::*)(const LossTask&);

std::tuple<std::ptrdiff_t, std::ptrdiff_t, std::ptrdiff_t> losses(
    const Kernels& kernels, LossFunction function, const Input& label, const Input& score,
    std::optional<Input> weight, std::optional<Input> positive_weight, double smoothing,
    std::optional<Output> loss, std::optional<Output> gradient, std::optional<Output> hessian,
    ExactSum* sum, double gamma, Clip clip) {
  const auto n = static_cast<std::ptrdiff_t>(score.shape(0));
  for (const Input* array : {&label, address(weight), address(positive_weight)}) {
    if (array != nullptr && static_cast<std::ptrdiff_t>(array->shape(0)) != n) {
      throw nb::type_error("all arrays must have the length of the scores");
    }
  }
  const Column weights = weight ? column_of(*weight) : Column{};
  const Column positive_weights = positive_weight ? column_of(*positive_weight) : Column{};
  LossTask task;
  task.n = n;
  task.label = column_of(label);
  task.score = column_of(score);
  task.weight = weight ? &weights : nullptr;
  task.positive_weight = positive_weight ? &positive_weights : nullptr;
  task.smoothing = smoothing;
  task.gamma = gamma;
  std::tie(task.low, task.high, task.limit) = clip;
  task.real = task.score.type == Type::float32 ? Type::float32 : Type::float64;
  task.loss = output_of(loss, task.real, n);
  task.gradient = output_of(gradient, task.real, n);
  task.hessian = output_of(hessian, task.real, n);
  task.sum = sum;
  nb::gil_scoped_release unlocked;
  const LossReport report = (kernels.*function)(task);
  return {report.bad_label, report.bad_score, report.bad_weight};
}

using MapFunction = void (*Kernels::*)(const MapTask&);

void map(const Kernels& kernels, MapFunction function, const Input& in, Output out) {
  MapTask task;
  task.n = static_cast<std::ptrdiff_t>(in.shape(0));
  task.in = column_of(in);
  task.real = type_of(out.dtype());
  if (static_cast<std::ptrdiff_t>(out.shape(0)) != task.n) {
    throw nb::type_error("the output must have the length of the input");
  }
  task.out = out.data();
  nb::gil_scoped_release unlocked;
  (kernels.*function)(task);
}

// The type that a letter of the buffer protocol names.
std::optional<Type> type_of(char letter, std::ptrdiff_t size) {
  switch (letter) {
    case '?':
      return Type::boolean;
    case 'b':
      return Type::int8;
    case 'B':
      return Type::uint8;
    case 'h':
      return Type::int16;
    case 'H':
      return Type::uint16;
    case 'i':
      return Type::int32;
    case 'I':
      return Type::uint32;
    case 'l':
    case 'q':
      return size == 8 ? Type::int64 : Type::int32;
    case 'L':
    case 'Q':
      return size == 8 ? Type::uint64 : Type::uint32;
    case 'f':
      return Type::float32;
    case 'd':
      return Type::float64;
    default:
      return std::nullopt;
  }
}

// A plain view of a contiguous, native array; none of anything else.
class View {
 public:
  explicit View(nb::handle object, int access = 0) {
    constexpr int kFlags = PyBUF_FORMAT | PyBUF_C_CONTIGUOUS;
    held_ = PyObject_GetBuffer(object.ptr(), &buffer_, kFlags | access) == 0;
    if (!held_) PyErr_Clear();
  }
  ~View() {
    if (held_) PyBuffer_Release(&buffer_);
  }
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  std::optional<Column> column() const {
    if (!held_ || buffer_.format == nullptr || buffer_.format[1] != 0) return std::nullopt;
    const auto type = type_of(buffer_.format[0], buffer_.itemsize);
    if (!type) return std::nullopt;
    return Column{buffer_.buf, buffer_.itemsize, *type};
  }

  bool same_shape(const View& other) const {
    return buffer_.ndim == other.buffer_.ndim &&
           std::equal(buffer_.shape, buffer_.shape + buffer_.ndim, other.buffer_.shape);
  }

  std::ptrdiff_t size() const { return buffer_.len / buffer_.itemsize; }
  void* data() const { return buffer_.buf; }

 private:
  Py_buffer buffer_;
  bool held_;
};

bool fractional(const Column& column) {
  return column.type == Type::float32 || column.type == Type::float64;
}

// Rows of one call without threads, and from where on the interpreter's lock is given up.
constexpr std::ptrdiff_t kQuickRows = 1 << 17;
constexpr std::ptrdiff_t kUnlockRows = 1 << 12;

template <class Real>
void divide(void* values, std::ptrdiff_t n) {
  Real* const of_sum = static_cast<Real*>(values);
  for (std::ptrdiff_t i = 0; i < n; ++i) of_sum[i] /= static_cast<Real>(n);
}

// The mean loss of two dense columns, and the gradient of the mean where it has a place; none
// where anything is out of the ordinary.
std::optional<double> quick_mean(const Kernels& kernels, LossFunction function, const Column& label,
                                 const Column& score, std::ptrdiff_t n, bool may_be_swapped,
                                 void* gradient = nullptr) {
  LossTask task;
  ExactSum sum;
  task.n = n;
  task.label = label;
  task.score = score;
  task.real = score.type;
  task.sum = &sum;
  task.gradient = gradient;
  if (task.real != Type::float32 && task.real != Type::float64) return std::nullopt;
  if (n < 1 || n > kQuickRows) return std::nullopt;
  LossReport report;
  if (n < kUnlockRows) {
    report = (kernels.*function)(task);
  } else {
    nb::gil_scoped_release unlocked;
    report = (kernels.*function)(task);
  }
  if (report.bad_label >= 0 || report.bad_score >= 0) return std::nullopt;
  if (may_be_swapped && fractional(label) && kernels.all_hard(score, n)) return std::nullopt;
  if (gradient != nullptr) {
    (task.real == Type::float32 ? divide<float> : divide<double>)(gradient, n);
  }
  return sum.value() / static_cast<double>(n);
}

// The same of two plain arrays of one shape.
std::optional<double> quick_mean_of_arrays(const Kernels& kernels, LossFunction function,
                                           nb::handle label, nb::handle score,
                                           bool may_be_swapped) {
  const View labels(label), scores(score);
  const auto label_column = labels.column(), score_column = scores.column();
  if (!label_column || !score_column || !labels.same_shape(scores)) return std::nullopt;
  return quick_mean(kernels, function, *label_column, *score_column, scores.size(), may_be_swapped);
}

// The same of dense values at two addresses; the gradient goes to a third, unless that is 0.
std::optional<double> quick_mean_at(const Kernels& kernels, std::uintptr_t label, char label_type,
                                    std::uintptr_t logit, char logit_type, std::uintptr_t gradient,
                                    std::ptrdiff_t n) {
  const auto column = [](std::uintptr_t address, char letter) {
    const std::ptrdiff_t size = letter == 'd' || letter == 'q'   ? 8
                                : letter == 'f' || letter == 'i' ? 4
                                : letter == 'h'                  ? 2
                                                                 : 1;
    return Column{reinterpret_cast<const void*>(address), size, type_of(letter, size).value()};
  };
  return quick_mean(kernels, &Kernels::losses_from_logits, column(label, label_type),
                    column(logit, logit_type), n, false, reinterpret_cast<void*>(gradient));
}

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

void bind_sum(nb::module_& module) {
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

// ------------------------------------------------------------------------------ linear predictors

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

using Extremes = std::tuple<double, double>;

Extremes linear_scan(const Kernels& kernels, const Matrix& numbers, const Matrix& codes,
                     const Doubles& center, const Integers& starts, const Doubles& beta,
                     const Input& label, std::optional<Input> weight, std::optional<Input> offset,
                     ExactSum* loss, std::optional<Doubles> grid, std::optional<IntegersOut> high,
                     std::optional<IntegersOut> low, std::optional<SquareOut> gram,
                     std::optional<Doubles> inverse_scale) {
  const auto size = static_cast<std::ptrdiff_t>(beta.shape(0));
  LinearTask task;
  task.rows = rows_of(numbers, codes, center, starts, size);
  task.label = rows_column(label, task.rows.n);
  const Column weights = weight ? rows_column(*weight, task.rows.n) : Column{};
  const Column offsets = offset ? rows_column(*offset, task.rows.n) : Column{};
  task.weight = weight ? &weights : nullptr;
  task.offset = offset ? &offsets : nullptr;
  task.beta = beta.data();
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
  LinearTask task;
  task.rows = rows_of(numbers, codes, center, starts, static_cast<std::ptrdiff_t>(beta.shape(0)));
  task.label = rows_column(label, task.rows.n);
  const Column weights = weight ? rows_column(*weight, task.rows.n) : Column{};
  const Column offsets = offset ? rows_column(*offset, task.rows.n) : Column{};
  task.weight = weight ? &weights : nullptr;
  task.offset = offset ? &offsets : nullptr;
  task.beta = beta.data();
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

using Tensor = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using OutputTensor = nb::ndarray<nb::c_contig, nb::device::cpu>;

// The address of an array of this dtype and of so many values.
template <class Array>
auto* values_of(const Array& array, Type real, std::ptrdiff_t size) {
  if (type_of(array.dtype()) != real || static_cast<std::ptrdiff_t>(array.size()) != size) {
    throw nb::type_error("arrays of dense layers must have one dtype, and the layers' sizes");
  }
  return array.data();
}

// The layers of networks side by side, where their gradients go, and the room they compute in.
class DenseLayers {
 public:
  DenseLayers(const Kernels& kernels, int activation, std::vector<Tensor> weights,
              std::vector<Tensor> biases, std::vector<OutputTensor> of_weights,
              std::vector<OutputTensor> of_biases)
      : kernels_(kernels),
        weights_(std::move(weights)),
        biases_(std::move(biases)),
        of_weights_(std::move(of_weights)),
        of_biases_(std::move(of_biases)) {
    if (weights_.empty()) throw nb::value_error("there must be a layer");
    task_.activation = static_cast<Activation>(activation);
    task_.members = static_cast<std::ptrdiff_t>(weights_[0].shape(0));
    task_.real = type_of(weights_[0].dtype()) == Type::float32 ? Type::float32 : Type::float64;
    for (std::size_t k = 0; k < weights_.size(); ++k) {
      DenseLayer layer;
      layer.inputs = static_cast<std::ptrdiff_t>(weights_[k].shape(1));
      layer.units = static_cast<std::ptrdiff_t>(weights_[k].shape(2));
      const std::ptrdiff_t of_all = task_.members * layer.units;
      layer.weight = values_of(weights_[k], task_.real, of_all * layer.inputs);
      layer.bias = values_of(biases_.at(k), task_.real, of_all);
      layer.of_weight = values_of(of_weights_.at(k), task_.real, of_all * layer.inputs);
      layer.of_bias = values_of(of_biases_.at(k), task_.real, of_all);
      const bool fits = k == 0 || layer.inputs == task_.layers.back().units;
      if (!fits) throw nb::value_error("a layer must see what the one before it makes");
      task_.layers.push_back(layer);
    }
    if (task_.layers.back().units != 1) throw nb::value_error("the last layer must be one wide");
    constexpr std::size_t kLine = 64;
    const std::size_t of_value = task_.real == Type::float32 ? sizeof(float) : sizeof(double);
    const std::size_t size = static_cast<std::size_t>(room_of(task_.layers)) * of_value;
    room_.resize(size + kLine);
    void* at = room_.data();
    std::size_t space = room_.size();
    task_.room = std::align(kLine, size, at, space);
  }

  double pass(const Tensor& x, const Input& label, const Tensor& weights, double positive_weight,
              double gamma, double scale, const OutputTensor& logits, const OutputTensor& residual,
              std::optional<OutputTensor> of_x) {
    DenseTask task = task_;
    task.rows = static_cast<std::ptrdiff_t>(label.shape(0));
    const std::ptrdiff_t n = task.members * task.rows, inputs = task.layers[0].inputs;
    task.x_of_all = static_cast<std::ptrdiff_t>(x.size()) == task.rows * inputs;
    task.x = values_of(x, task.real, (task.x_of_all ? task.rows : n) * inputs);
    task.weights = values_of(weights, task.real, n);
    task.logits = values_of(logits, task.real, n);
    task.residual = values_of(residual, task.real, n);
    if (of_x) task.of_x = values_of(*of_x, task.real, n * inputs);
    const Column of_positive = {&positive_weight, 0, Type::float64};
    task.losses.label = column_of(label);
    task.losses.positive_weight = positive_weight == 1 ? nullptr : &of_positive;
    task.losses.gamma = gamma;
    task.scale = scale;
    nb::gil_scoped_release unlocked;
    return kernels_.pass_dense(task);
  }

 private:
  const Kernels& kernels_;
  std::vector<Tensor> weights_, biases_;
  std::vector<OutputTensor> of_weights_, of_biases_;
  DenseTask task_;
  std::vector<std::byte> room_;
};

// The parameters of a network with what AdamW keeps of them; `steps` is one value.
class AdamW {
 public:
  AdamW(const Kernels& kernels, std::vector<OutputTensor> values, std::vector<Tensor> gradients,
        std::vector<OutputTensor> means, std::vector<OutputTensor> squares,
        const std::vector<double>& decays, nb::ndarray<float, nb::c_contig, nb::device::cpu> steps,
        double beta_mean, double beta_square, double epsilon)
      : kernels_(kernels),
        gradients_(std::move(gradients)),
        kept_{std::move(values), std::move(means), std::move(squares)},
        steps_(std::move(steps)) {
    if (kept_[0].empty() || steps_.size() != 1) throw nb::value_error("there must be parameters");
    task_.real = type_of(kept_[0][0].dtype()) == Type::float32 ? Type::float32 : Type::float64;
    for (std::size_t k = 0; k < kept_[0].size(); ++k) {
      AdamParameter p;
      p.n = static_cast<std::ptrdiff_t>(kept_[0][k].size());
      p.value = values_of(kept_[0][k], task_.real, p.n);
      p.gradient = values_of(gradients_.at(k), task_.real, p.n);
      p.mean = values_of(kept_[1].at(k), task_.real, p.n);
      p.square = values_of(kept_[2].at(k), task_.real, p.n);
      p.decay = decays.at(k);
      task_.parameters.push_back(p);
    }
    task_.beta_mean = beta_mean;
    task_.beta_square = beta_square;
    task_.epsilon = epsilon;
  }

  void step(double rate, double longest) {
    task_.rate = rate;
    task_.longest = longest;
    task_.steps = static_cast<double>(++*steps_.data());
    nb::gil_scoped_release unlocked;
    kernels_.step_adamw(task_);
  }

 private:
  const Kernels& kernels_;
  std::vector<Tensor> gradients_;
  std::vector<OutputTensor> kept_[3];
  nb::ndarray<float, nb::c_contig, nb::device::cpu> steps_;
  AdamTask task_;
};

void bind_networks(nb::module_& module) {
  nb::class_<AdamW>(module, "AdamW")
      .def(
          nb::init<const Kernels&, std::vector<OutputTensor>, std::vector<Tensor>,
                   std::vector<OutputTensor>, std::vector<OutputTensor>, const std::vector<double>&,
                   nb::ndarray<float, nb::c_contig, nb::device::cpu>, double, double, double>(),
          "kernels"_a, "values"_a, "gradients"_a, "means"_a, "squares"_a, "decays"_a, "steps"_a,
          "beta_mean"_a, "beta_square"_a, "epsilon"_a)
      .def("step", &AdamW::step, "rate"_a, "longest"_a);
  nb::class_<DenseLayers>(module, "DenseLayers")
      .def(nb::init<const Kernels&, int, std::vector<Tensor>, std::vector<Tensor>,
                    std::vector<OutputTensor>, std::vector<OutputTensor>>(),
           "kernels"_a, "activation"_a, "weights"_a, "biases"_a, "of_weights"_a, "of_biases"_a)
      .def("pass_rows", &DenseLayers::pass, "x"_a, "label"_a, "weights"_a, "positive_weight"_a,
           "gamma"_a, "scale"_a, "logits"_a, "residual"_a, "of_x"_a.none());
}

void bind_kernels(nb::module_& module) {
  nb::class_<Kernels> kernels(module, "Kernels");
  bind_linear(kernels);
  kernels.def_prop_ro("level", [](const Kernels& self) { return std::string(self.level); })
      .def(
          "losses_from_logits",
          [](const Kernels& self, const Input& label, const Input& score,
             std::optional<Input> weight, std::optional<Input> positive_weight, double smoothing,
             std::optional<Output> loss, std::optional<Output> gradient,
             std::optional<Output> hessian, ExactSum* sum, double gamma) {
            return losses(self, &Kernels::losses_from_logits, label, score, weight, positive_weight,
                          smoothing, loss, gradient, hessian, sum, gamma, kNoClip);
          },
          "label"_a, "score"_a, "weight"_a.none(), "positive_weight"_a.none(), "smoothing"_a,
          "loss"_a.none(), "gradient"_a.none(), "hessian"_a.none(), "sum"_a.none(), "gamma"_a)
      .def(
          "losses_from_probabilities",
          [](const Kernels& self, const Input& label, const Input& score,
             std::optional<Input> weight, std::optional<Input> positive_weight, double smoothing,
             std::optional<Output> loss, std::optional<Output> gradient, ExactSum* sum, Clip clip) {
            return losses(self, &Kernels::losses_from_probabilities, label, score, weight,
                          positive_weight, smoothing, loss, gradient, std::nullopt, sum, 0.0, clip);
          },
          "label"_a, "score"_a, "weight"_a.none(), "positive_weight"_a.none(), "smoothing"_a,
          "loss"_a.none(), "gradient"_a.none(), "sum"_a.none(), "clip"_a)
      .def("quick_mean_from_logits",
           [](const Kernels& self, nb::handle label, nb::handle score) {
             return quick_mean_of_arrays(self, &Kernels::losses_from_logits, label, score, false);
           })
      .def("quick_mean_from_probabilities",
           [](const Kernels& self, nb::handle label, nb::handle score) {
             return quick_mean_of_arrays(self, &Kernels::losses_from_probabilities, label, score,
                                         true);
           })
      .def("quick_mean_at", &quick_mean_at)
      .def(
          "sigmoid",
          [](const Kernels& self, const Input& in, Output out) {
            map(self, &Kernels::sigmoid, in, out);
          },
          "values"_a, "out"_a)
      .def(
          "logit",
          [](const Kernels& self, const Input& in, Output out) {
            map(self, &Kernels::logit, in, out);
          },
          "values"_a, "out"_a);
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
  logloss::bind_sum(module);
  logloss::bind_kernels(module);
  logloss::bind_networks(module);
}
