// Elementwise losses, their sums and means, and the two maps between logits and probabilities.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>

#include "bindings.hpp"

namespace logloss {

using namespace nb::literals;

namespace {

void* output_of(std::optional<Output>& array, Type real, std::ptrdiff_t n) {
  if (!array) return nullptr;
  if (type_of(array->dtype()) != real || static_cast<std::ptrdiff_t>(array->shape(0)) != n) {
    throw nb::type_error("an output must have the dtype and the length of the scores");
  }
  return array->data();
}

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

}  // namespace

void bind_losses(nb::class_<Kernels>& kernels) {
  kernels
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
}

}  // namespace logloss
