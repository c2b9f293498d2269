// Time of the losses of many rows with their exact sum, and with a plain one, in one kernel.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#define LOGLOSS_LEVEL native
#include "loss_rows.hpp"

namespace {

using namespace logloss;
using namespace logloss::native;

constexpr std::ptrdiff_t kRows = 10'000'000;
constexpr int kRounds = 9;

template <class Real>
struct Rows {
  std::vector<Real> logits;
  std::vector<std::uint8_t> labels;

  explicit Rows(double deviation) : logits(kRows), labels(kRows) {
    std::mt19937_64 bits(0);
    std::normal_distribution<double> normal(0, deviation);
    for (Real& z : logits) z = static_cast<Real>(normal(bits));
    for (std::uint8_t& y : labels) y = bits() & 1;
  }
};

template <class Real>
void add_plainly(const Real* losses, std::ptrdiff_t n, double& sum) {
  double of_tile = 0;
#pragma omp simd reduction(+ : of_tile)
  for (std::ptrdiff_t i = 0; i < n; ++i) of_tile += static_cast<double>(losses[i]);
  sum += of_tile;
}

template <class Real, class Add>
double milliseconds(const Rows<Real>& rows, const Add& add) {
  alignas(64) Real losses[kTile];
  const auto begin = std::chrono::steady_clock::now();
  for (std::ptrdiff_t first = 0; first < kRows; first += kTile) {
    const std::ptrdiff_t n = std::min(kTile, kRows - first);
    plain_rows<Real>(rows.labels.data() + first, rows.logits.data() + first, n, losses,
                     static_cast<Real*>(nullptr), static_cast<Real*>(nullptr));
    add(losses, n);
  }
  const auto end = std::chrono::steady_clock::now();
  return std::chrono::duration<double, std::milli>(end - begin).count();
}

template <class Real>
void compare(const char* name, double deviation) {
  const Rows<Real> rows(deviation);
  std::vector<double> exactly, plainly;
  ExactSum exact;
  double plain = 0;
  int windows = 1;
  for (int round = 0; round < kRounds; ++round) {
    exact = ExactSum();
    plain = 0;
    exactly.push_back(milliseconds(rows, [&](const Real* losses, std::ptrdiff_t n) {
      add_tile(losses, n, exact, windows);
    }));
    plainly.push_back(milliseconds(
        rows, [&](const Real* losses, std::ptrdiff_t n) { add_plainly(losses, n, plain); }));
  }
  if (std::fabs(exact.value() / plain - 1) > 1e-9) std::puts("the sums differ");
  std::sort(exactly.begin(), exactly.end());
  std::sort(plainly.begin(), plainly.end());
  const double ours = exactly[kRounds / 2], theirs = plainly[kRounds / 2];
  std::printf("| %s | %g | %.1f | %.1f | %.2f× |\n", name, deviation, ours, theirs, ours / theirs);
}

}  // namespace

int main() {
  std::puts(
      "| logits | deviation | exact, ms | plain, ms | ratio |\n| --- | --- | --- | --- | --- |");
  for (const double deviation : {3.0, 10.0, 30.0}) compare<float>("float32", deviation);
  for (const double deviation : {3.0, 10.0, 30.0}) compare<double>("float64", deviation);
}
