// Steps of networks: dense layers with their loss, and AdamW. Both hold on to the arrays they
// were given.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "bindings.hpp"

namespace logloss {

using namespace nb::literals;

namespace {

using Tensor = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Index = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Doubles = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using OutputTensor = nb::ndarray<nb::c_contig, nb::device::cpu>;

// The address of an array of this dtype and of so many values.
template <class Array>
auto* values_of(const Array& array, Type real, std::ptrdiff_t size) {
  if (type_of(array.dtype()) != real || static_cast<std::ptrdiff_t>(array.size()) != size) {
    throw nb::type_error("arrays of dense layers must have one dtype, and the layers' sizes");
  }
  return array.data();
}

// The address of row numbers, all of them below n.
const std::int64_t* checked(const Index& rows, std::ptrdiff_t n) {
  const auto within = [n](std::int64_t row) { return row >= 0 && row < n; };
  if (!std::all_of(rows.data(), rows.data() + rows.size(), within)) {
    throw nb::index_error("rows must name rows of x");
  }
  return rows.data();
}

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

  // Without Python's lock.
  void step(double rate, double longest) {
    task_.rate = rate;
    task_.longest = longest;
    task_.steps = static_cast<double>(++*steps_.data());
    kernels_.step_adamw(task_);
  }

 private:
  const Kernels& kernels_;
  std::vector<Tensor> gradients_;
  std::vector<OutputTensor> kept_[3];
  nb::ndarray<float, nb::c_contig, nb::device::cpu> steps_;
  AdamTask task_;
};

// The layers of networks side by side, where their gradients go, and the room they compute in.
class DenseLayers {
 public:
  DenseLayers(const Kernels& kernels, const std::vector<int>& activations,
              std::vector<Tensor> weights, std::vector<Tensor> biases,
              std::vector<OutputTensor> of_weights, std::vector<OutputTensor> of_biases)
      : kernels_(kernels),
        weights_(std::move(weights)),
        biases_(std::move(biases)),
        of_weights_(std::move(of_weights)),
        of_biases_(std::move(of_biases)) {
    if (weights_.empty()) throw nb::value_error("there must be a layer");
    for (const Tensor& weight : weights_) {
      if (weight.ndim() != 3) throw nb::value_error("weights must have three axes");
    }
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
      const bool is_last = k + 1 == weights_.size();
      if (!is_last) layer.activation = static_cast<Activation>(activations.at(k));
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

  // Steps on batch after batch of the rows of x that are picked; labels are in their order, and
  // weights are members × rows of each batch. Ends with the first loss that is not finite.
  std::vector<double> train(AdamW& adamw, const Tensor& x, const Index& picked, const Tensor& label,
                            const Tensor& weights, const Index& sizes, const Index& trained,
                            const Doubles& rates, double positive_weight, double gamma,
                            double longest) {
    DenseTask task = task_;
    const auto n = static_cast<std::ptrdiff_t>(picked.size());
    const auto n_x = static_cast<std::ptrdiff_t>(x.shape(0));
    task.x = values_of(x, task.real, n_x * task.layers[0].inputs);
    task.picked = checked(picked, n_x);
    const char* labels = static_cast<const char*>(values_of(label, task.real, n));
    const char* of_rows = static_cast<const char*>(values_of(weights, task.real, n * task.members));
    const std::int64_t* const end = sizes.data() + sizes.size();
    if (std::any_of(sizes.data(), end, [](std::int64_t size) { return size < 0; }) ||
        std::accumulate(sizes.data(), end, std::int64_t{0}) != n ||
        trained.size() != sizes.size() || rates.size() != sizes.size()) {
      throw nb::value_error("batches must have all rows, and a rate and a number of rows each");
    }
    const Column of_positive = {&positive_weight, 0, Type::float64};
    task.losses.positive_weight = positive_weight == 1 ? nullptr : &of_positive;
    task.losses.gamma = gamma;
    const std::ptrdiff_t of_value = task.real == Type::float32 ? sizeof(float) : sizeof(double);
    const std::ptrdiff_t most = sizes.size() == 0 ? 0 : *std::max_element(sizes.data(), end);
    std::vector<std::byte> logits(static_cast<std::size_t>(most * task.members * of_value));
    std::vector<std::byte> residual(logits.size());
    task.logits = logits.data();
    task.residual = residual.data();
    std::vector<double> losses;
    nb::gil_scoped_release unlocked;
    for (std::size_t k = 0; k < sizes.size(); ++k) {
      task.rows = sizes.data()[k];
      task.losses.label = {labels, of_value, task.real};
      task.weights = of_rows;
      const double n_trained = static_cast<double>(trained.data()[k]);
      // the gradient of the members' sum: each goes its own way, whatever their number
      task.scale = static_cast<double>(task.members) / n_trained;
      std::fill(logits.begin(), logits.end(), std::byte{0});
      losses.push_back(kernels_.pass_dense(task) / n_trained);
      if (!std::isfinite(losses.back())) break;
      adamw.step(rates.data()[k], longest);
      labels += task.rows * of_value;
      of_rows += task.rows * task.members * of_value;
      task.picked += task.rows;
    }
    return losses;
  }

 private:
  const Kernels& kernels_;
  std::vector<Tensor> weights_, biases_;
  std::vector<OutputTensor> of_weights_, of_biases_;
  DenseTask task_;
  std::vector<std::byte> room_;
};

}  // namespace

void bind_networks(nb::module_& module) {
  nb::class_<AdamW>(module, "AdamW")
      .def(
          nb::init<const Kernels&, std::vector<OutputTensor>, std::vector<Tensor>,
                   std::vector<OutputTensor>, std::vector<OutputTensor>, const std::vector<double>&,
                   nb::ndarray<float, nb::c_contig, nb::device::cpu>, double, double, double>(),
          "kernels"_a, "values"_a, "gradients"_a, "means"_a, "squares"_a, "decays"_a, "steps"_a,
          "beta_mean"_a, "beta_square"_a, "epsilon"_a)
      .def("step", &AdamW::step, "rate"_a, "longest"_a, nb::call_guard<nb::gil_scoped_release>());
  nb::class_<DenseLayers>(module, "DenseLayers")
      .def(nb::init<const Kernels&, const std::vector<int>&, std::vector<Tensor>,
                    std::vector<Tensor>, std::vector<OutputTensor>, std::vector<OutputTensor>>(),
           "kernels"_a, "activations"_a, "weights"_a, "biases"_a, "of_weights"_a, "of_biases"_a)
      .def("pass_rows", &DenseLayers::pass, "x"_a, "label"_a, "weights"_a, "positive_weight"_a,
           "gamma"_a, "scale"_a, "logits"_a, "residual"_a, "of_x"_a.none())
      .def("train", &DenseLayers::train, "adamw"_a, "x"_a, "picked"_a, "label"_a, "weights"_a,
           "sizes"_a, "trained"_a, "rates"_a, "positive_weight"_a, "gamma"_a, "longest"_a);
}

}  // namespace logloss
