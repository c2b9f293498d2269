// Which instruction-set level this processor can run, asked once from the processor itself.
#include <string_view>

#include "kernels.hpp"

#if defined(LOGLOSS_X86_LEVELS) && defined(_MSC_VER)
#include <intrin.h>
#endif

namespace logloss {

namespace baseline {
extern const Kernels kKernels;
}

#ifdef LOGLOSS_X86_LEVELS
namespace x86_64_v3 {
extern const Kernels kKernels;
}
namespace x86_64_v4 {
extern const Kernels kKernels;
}
#endif

namespace {

#if !defined(LOGLOSS_X86_LEVELS)

bool has_v3() { return false; }
bool has_v4() { return false; }

#elif defined(_MSC_VER)

// Leaf 1 ECX: FMA 12, MOVBE 22, OSXSAVE 27, AVX 28, F16C 29. Leaf 7 EBX: BMI1 3, AVX2 5,
// BMI2 8, AVX512F 16, DQ 17, CD 28, BW 30, VL 31. XCR0: SSE 1, AVX 2, AVX-512 5 to 7.
bool has(int leaf, int reg, unsigned mask) {
  int registers[4];
  __cpuidex(registers, leaf, 0);
  return (static_cast<unsigned>(registers[reg]) & mask) == mask;
}

bool system_saves(unsigned long long mask) {
  return has(1, 2, 1u << 27) && (_xgetbv(0) & mask) == mask;
}

bool has_v3() {
  return system_saves(0x6) && has(1, 2, 1u << 12 | 1u << 22 | 1u << 28 | 1u << 29) &&
         has(7, 1, 1u << 3 | 1u << 5 | 1u << 8);
}

bool has_v4() {
  return has_v3() && system_saves(0xe6) &&
         has(7, 1, 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31);
}

#else

bool has_v3() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

bool has_v4() {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

#endif

}  // namespace

const Kernels* kernels_at(const char* level) {
  const std::string_view name = level;
  if (name == baseline::kKernels.level) return &baseline::kKernels;
#ifdef LOGLOSS_X86_LEVELS
  if (name == x86_64_v3::kKernels.level && has_v3()) return &x86_64_v3::kKernels;
  if (name == x86_64_v4::kKernels.level && has_v4()) return &x86_64_v4::kKernels;
#endif
  return nullptr;
}

const Kernels* best_kernels() {
  for (const char* level : {"x86-64-v4", "x86-64-v3"}) {
    if (const Kernels* kernels = kernels_at(level)) return kernels;
  }
  return &baseline::kKernels;
}

}  // namespace logloss
