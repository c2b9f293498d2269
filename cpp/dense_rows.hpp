// Dense layers with a loss on their end, forward and back: run by run of rows, so that what one
// layer leaves is still in the cache when the next one asks for it.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "dense_layers.hpp"
#include "loss_rows.hpp"
#include "prefetch.hpp"
#include "products.hpp"

namespace logloss::LOGLOSS_LEVEL {

// 1/(1 + exp(-z)).
[[gnu::always_inline]] inline float logistic(float z) {
  const float e = exp_negative(std::fabs(z)).high;
  return (z >= 0 ? 1.0f : e) / (1.0f + e);
}

[[gnu::always_inline]] inline double logistic(double z) { return sigmoid<double>(z); }

template <Activation kActivation, class Real>
[[gnu::always_inline]] inline Real activated(Real z) {
  if constexpr (kActivation == Activation::relu) return z < 0 ? Real{0} : z;  // NaN stays NaN
  if constexpr (kActivation == Activation::tanh) return 2 * logistic(2 * z) - 1;
  if constexpr (kActivation == Activation::sigmoid) return logistic(z);
}

// Its derivative, from its value.
template <Activation kActivation, class Real>
[[gnu::always_inline]] inline Real slope_at(Real unit) {
  if constexpr (kActivation == Activation::relu) return unit > 0 ? Real{1} : Real{0};
  if constexpr (kActivation == Activation::tanh) return 1 - unit * unit;
  if constexpr (kActivation == Activation::sigmoid) return unit * (1 - unit);
}

// Call `work` with the activation as a template argument, so that its loops know it.
template <class Work>
void with_activation(Activation activation, Work&& work) {
  switch (activation) {
    case Activation::tanh:
      return work.template operator()<Activation::tanh>();
    case Activation::sigmoid:
      return work.template operator()<Activation::sigmoid>();
    default:
      return work.template operator()<Activation::relu>();
  }
}

// One layer of one member in the room: rows filled up to whole registers, by zeros.
template <class Real>
struct RoomyLayer {
  Activation activation;
  std::ptrdiff_t inputs, units, width;  // width: units, filled up
  Real* weight;                         // inputs × width
  Real* turned;                         // units × inputs, filled up
  Real* bias;                           // width
  Real* of_weight;                      // inputs × width
  Real* of_bias;                        // width
  Real* values;                         // kRun × width: its units
  Real* of_values;                      // kRun × width: gradient by them, before activation
  Real* of_inputs;                      // kRun × inputs, filled up
};

template <class Real>
void copy_filled(const Real* from, std::ptrdiff_t n, std::ptrdiff_t width, Real* to) {
  std::copy(from, from + n, to);
  std::fill(to + n, to + width, Real{0});
}

template <class Real>
class Room {
 public:
  explicit Room(const DenseTask& task) {
    Real* at = static_cast<Real*>(task.room);
    const auto take = [&at](std::ptrdiff_t size) { return std::exchange(at, at + size); };
    picked = take(kRun * padded(task.layers.front().inputs));
    for (const DenseLayer& layer : task.layers) {
      const std::ptrdiff_t inputs = padded(layer.inputs), width = padded(layer.units);
      layers.push_back({layer.activation, layer.inputs, layer.units, width, take(inputs * width),
                        take(inputs * width), take(width), take(inputs * width), take(width),
                        take(kRun * width), take(kRun * width), take(kRun * inputs)});
    }
  }

  // Copy one member's weights in, and let the gradients begin at 0.
  void load(const DenseTask& task, std::ptrdiff_t member) {
    for (std::size_t k = 0; k < layers.size(); ++k) {
      const RoomyLayer<Real>& to = layers[k];
      const std::ptrdiff_t across = padded(to.inputs);
      const Real* const weight =
          static_cast<const Real*>(task.layers[k].weight) + member * to.inputs * to.units;
      const Real* const bias = static_cast<const Real*>(task.layers[k].bias) + member * to.units;
      std::fill(to.of_weight, to.of_weight + across * to.width, Real{0});
      std::fill(to.of_bias, to.of_bias + to.width, Real{0});
      copy_filled(bias, to.units, to.width, to.bias);
      for (std::ptrdiff_t i = 0; i < to.inputs; ++i) {
        copy_filled(weight + i * to.units, to.units, to.width, to.weight + i * to.width);
      }
      // a first layer's is asked for only by who wants to know the gradient by x
      if (k == 0 && task.of_x == nullptr && to.units > 1) continue;
      std::fill(to.turned, to.turned + across * to.width, Real{0});
      for (std::ptrdiff_t i = 0; i < to.inputs; ++i) {
        for (std::ptrdiff_t j = 0; j < to.units; ++j) {
          to.turned[j * across + i] = weight[i * to.units + j];
        }
      }
    }
  }

  // Copy the gradients of one member's weights out.
  void store(const DenseTask& task, std::ptrdiff_t member) const {
    for (std::size_t k = 0; k < layers.size(); ++k) {
      const RoomyLayer<Real>& from = layers[k];
      Real* const weight =
          static_cast<Real*>(task.layers[k].of_weight) + member * from.inputs * from.units;
      for (std::ptrdiff_t i = 0; i < from.inputs; ++i) {
        const Real* const row = from.of_weight + i * from.width;
        std::copy(row, row + from.units, weight + i * from.units);
      }
      Real* const bias = static_cast<Real*>(task.layers[k].of_bias) + member * from.units;
      std::copy(from.of_bias, from.of_bias + from.units, bias);
    }
  }

  Real* picked;  // kRun × inputs of the first layer, filled up
  std::vector<RoomyLayer<Real>> layers;
};

// Values of rows and the distance from one row to the next.
template <class Real>
struct RowsOf {
  const Real* at;
  std::ptrdiff_t stride;
};

template <class Real>
void forward(const RoomyLayer<Real>& layer, RowsOf<Real> x, std::ptrdiff_t n) {
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    std::copy(layer.bias, layer.bias + layer.width, layer.values + i * layer.width);
  }
  add_product<Real>({x.at, x.stride, 1}, layer.weight, layer.width, n, layer.inputs, layer.units,
                    layer.values, layer.width);
  with_activation(layer.activation, [&]<Activation kActivation> {
    for (std::ptrdiff_t i = 0; i < n * layer.width; ++i) {
      layer.values[i] = activated<kActivation>(layer.values[i]);
    }
  });
}

// Gradients by the weights, from those by the units before their activation.
template <class Real>
void back_to_weights(const RoomyLayer<Real>& layer, RowsOf<Real> x, std::ptrdiff_t n) {
  add_product<Real>({x.at, 1, x.stride}, layer.of_values, layer.width, layer.inputs, n, layer.units,
                    layer.of_weight, layer.width);
  Real* const __restrict bias = layer.of_bias;
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const Real* const __restrict row = layer.of_values + i * layer.width;
    for (std::ptrdiff_t j = 0; j < layer.width; ++j) bias[j] += row[j];
  }
}

template <class Real>
void back_to_inputs(const RoomyLayer<Real>& layer, std::ptrdiff_t n) {
  const std::ptrdiff_t across = padded(layer.inputs);
  std::fill(layer.of_inputs, layer.of_inputs + n * across, Real{0});
  add_product<Real>({layer.of_values, layer.width, 1}, layer.turned, across, n, layer.units,
                    layer.inputs, layer.of_inputs, across);
}

// Add the products of the last layer, one unit wide, to the logits.
template <class Real>
void add_logits(const RoomyLayer<Real>& last, RowsOf<Real> x, std::ptrdiff_t n,
                Real* __restrict logits) {
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    logits[i] += dot(x.at + i * x.stride, last.turned, last.inputs) + last.bias[0];
  }
}

// Residuals → gradients by the last layer's weights, which stand in one column of the room.
template <class Real>
void back_from_logits(const RoomyLayer<Real>& last, RowsOf<Real> x, std::ptrdiff_t n,
                      const Real* __restrict residual) {
  Real* const __restrict sums = last.of_inputs;  // a row of it, before it is needed
  std::fill(sums, sums + last.inputs, Real{0});
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const Real* const __restrict row = x.at + i * x.stride;
    for (std::ptrdiff_t j = 0; j < last.inputs; ++j) sums[j] += residual[i] * row[j];
    last.of_bias[0] += residual[i];
  }
  for (std::ptrdiff_t j = 0; j < last.inputs; ++j) last.of_weight[j * last.width] += sums[j];
}

// Gradients by the units before the last layer.
template <class Real>
void back_from_logits_to_units(const RoomyLayer<Real>& last, const RoomyLayer<Real>& before,
                               std::ptrdiff_t n, const Real* __restrict residual) {
  const Real* const __restrict turned = last.turned;
  with_activation(before.activation, [&]<Activation kActivation> {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const Real* const __restrict values = before.values + i * before.width;
      Real* const __restrict of_values = before.of_values + i * before.width;
      for (std::ptrdiff_t j = 0; j < before.width; ++j) {
        of_values[j] = residual[i] * turned[j] * slope_at<kActivation>(values[j]);
      }
    }
  });
}

template <class Real>
void back_from_logits_to_inputs(const RoomyLayer<Real>& last, std::ptrdiff_t n,
                                const Real* __restrict residual) {
  const std::ptrdiff_t across = padded(last.inputs);
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    for (std::ptrdiff_t j = 0; j < across; ++j) {
      last.of_inputs[i * across + j] = residual[i] * last.turned[j];
    }
  }
}

// Gradients by units, from those by what the next layer sees of them.
template <class Real>
void back_to_values(const RoomyLayer<Real>& layer, const Real* __restrict of_activated,
                    std::ptrdiff_t n) {
  const Real* const __restrict values = layer.values;
  Real* const __restrict of_values = layer.of_values;
  with_activation(layer.activation, [&]<Activation kActivation> {
    for (std::ptrdiff_t i = 0; i < n * layer.width; ++i) {
      of_values[i] = of_activated[i] * slope_at<kActivation>(values[i]);
    }
  });
}

// One run of rows of one member: where its values are.
template <class Real>
struct Run {
  RowsOf<Real> x;
  std::ptrdiff_t n;
  Real* logits;
  Real* residual;
  Real* of_x;
};

template <class Real>
void run_forward(const Room<Real>& room, const Run<Real>& run) {
  RowsOf<Real> x = run.x;
  for (std::size_t k = 0; k + 1 < room.layers.size(); ++k) {
    forward(room.layers[k], x, run.n);
    x = {room.layers[k].values, room.layers[k].width};
  }
  add_logits(room.layers.back(), x, run.n, run.logits);
}

template <class Real>
void run_back(const Room<Real>& room, const Run<Real>& run) {
  const std::vector<RoomyLayer<Real>>& layers = room.layers;
  const RoomyLayer<Real>& last = layers.back();
  const auto seen_by = [&](std::size_t k) {
    return k == 0 ? run.x : RowsOf<Real>{layers[k - 1].values, layers[k - 1].width};
  };
  std::size_t k = layers.size() - 1;
  back_from_logits(last, seen_by(k), run.n, run.residual);
  if (k > 0) {
    back_from_logits_to_units(last, layers[k - 1], run.n, run.residual);
  } else if (run.of_x != nullptr) {
    back_from_logits_to_inputs(last, run.n, run.residual);
  }
  while (k-- > 0) {
    back_to_weights(layers[k], seen_by(k), run.n);
    if (k == 0 && run.of_x == nullptr) break;
    back_to_inputs(layers[k], run.n);
    if (k > 0) back_to_values(layers[k - 1], layers[k].of_inputs, run.n);
  }
  if (run.of_x == nullptr) return;
  const RoomyLayer<Real>& first = layers.front();
  for (std::ptrdiff_t i = 0; i < run.n; ++i) {
    const Real* const row = first.of_inputs + i * padded(first.inputs);
    std::copy(row, row + first.inputs, run.of_x + i * first.inputs);
  }
}

// Losses of a run at its logits; their gradient, scaled, goes to the residuals.
template <class Real>
void run_losses(const DenseTask& task, std::ptrdiff_t member, std::ptrdiff_t first,
                const Run<Real>& run, ExactSum& sum) {
  constexpr std::ptrdiff_t kSize = sizeof(Real);
  const auto from = [first](Column column) {
    column.data = static_cast<const char*>(column.data) + first * column.stride;
    return column;
  };
  const Column weight = {static_cast<const Real*>(task.weights) + member * task.rows + first, kSize,
                         task.real};
  LossTask losses = task.losses;
  losses.n = run.n;
  losses.label = from(task.losses.label);
  losses.weight = &weight;
  losses.score = {run.logits, kSize, task.real};
  losses.real = task.real;
  losses.gradient = run.residual;
  losses.sum = &sum;
  losses_from_logits_as<Real>(losses);
  for (std::ptrdiff_t i = 0; i < run.n; ++i) run.residual[i] *= static_cast<Real>(task.scale);
}

// What the first layer sees of a run: the rows where they lie, or a copy of those picked. These are
// anywhere in memory, so they are asked for some rows ahead.
template <class Real>
RowsOf<Real> seen(const DenseTask& task, const Room<Real>& room, std::ptrdiff_t member,
                  std::ptrdiff_t first, std::ptrdiff_t n) {
  constexpr std::ptrdiff_t kAhead = 12, kLine = 64 / static_cast<std::ptrdiff_t>(sizeof(Real));
  const std::ptrdiff_t inputs = task.layers.front().inputs;
  const Real* const x = static_cast<const Real*>(task.x);
  if (task.picked == nullptr) {
    return {x + (task.x_of_all ? first : member * task.rows + first) * inputs, inputs};
  }
  const std::ptrdiff_t width = padded(inputs);
  const std::int64_t* const picked = task.picked + first;
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    if (i + kAhead < n) {
      const Real* const ahead = x + picked[i + kAhead] * inputs;
      for (std::ptrdiff_t j = 0; j < inputs; j += kLine) prefetch(ahead + j);
    }
    std::copy_n(x + picked[i] * inputs, inputs, room.picked + i * width);
  }
  return {room.picked, width};
}

template <class Real>
double pass_dense_as(const DenseTask& task) {
  ExactSum sum;
  Room<Real> room(task);
  const std::ptrdiff_t inputs = task.layers.front().inputs;
  for (std::ptrdiff_t member = 0; member < task.members; ++member) {
    room.load(task, member);
    for (std::ptrdiff_t first = 0; first < task.rows; first += kRun) {
      const std::ptrdiff_t row = member * task.rows + first;
      const std::ptrdiff_t n = std::min(kRun, task.rows - first);
      const Run<Real> run = {
          seen(task, room, member, first, n), n, static_cast<Real*>(task.logits) + row,
          static_cast<Real*>(task.residual) + row,
          task.of_x == nullptr ? nullptr : static_cast<Real*>(task.of_x) + row * inputs};
      run_forward(room, run);
      run_losses(task, member, first, run, sum);
      run_back(room, run);
    }
    room.store(task, member);
  }
  return sum.value();
}

}  // namespace logloss::LOGLOSS_LEVEL
