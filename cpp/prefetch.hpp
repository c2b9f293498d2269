// One door to what compilers call prefetching.
#pragma once

namespace logloss::LOGLOSS_LEVEL {

// Asks for a cache line that will be read soon; any address may be given.
inline void prefetch(const void* at) {
#ifdef __GNUC__
  __builtin_prefetch(at, 0, 2);
#endif
}

}  // namespace logloss::LOGLOSS_LEVEL
