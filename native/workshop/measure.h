// Timing for the workshop's programs.
#pragma once
#include <time.h>

#include <algorithm>
#include <cstdio>

#include "../kernels/cpu/tile.h"

/// Seconds of one of several runs: the best on the wall, and the mean of processor time, which other work on the machine disturbs less.
struct Time {
  double wall = 1e9, processor = 0;
};

template <class F>
Time measure(F f) {
  const auto now = [](clockid_t clock) {
    timespec t;
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  };
  f();
  Time best;
  const double start = now(CLOCK_MONOTONIC), startProcessor = now(CLOCK_PROCESS_CPUTIME_ID);
  int runs = 0;
  for (; runs < 5 || (now(CLOCK_MONOTONIC) - start < 0.5 && runs < 1000); runs++) {
    const double wall = now(CLOCK_MONOTONIC);
    f();
    best.wall = std::min(best.wall, now(CLOCK_MONOTONIC) - wall);
  }
  best.processor = (now(CLOCK_PROCESS_CPUTIME_ID) - startProcessor) / runs;
  return best;
}

/// Flops per second of tiles that stay in the first-level cache, one thread: what a product can reach at all.
inline double peak_rate() {
  using namespace duo::cpu;
  alignas(64) static float a[kRows * 64], b[64 * kColumns], c[kRows * kColumns];
  const Time time = measure([] {
    for (int n = 0; n < 2000; n++) {
      Tile t = load_tile(c, kColumns);
      multiply_rows(t, 64, a, 64, b, kColumns);
      store_tile(t, c, kColumns);
    }
  });
  return 2.0 * 2000 * 64 * kRows * kColumns / time.processor;
}

inline void print_rate(double flops, const Time& t, double peak) {
  std::printf("  %8.3f ms %6.1f GFLOP/s %3.0f %%", t.wall * 1e3, flops / t.wall * 1e-9, 100 * flops / t.processor / peak);
}
