// The small operations of a decoder layer, row by row. Memory bounds them: each reads its inputs and writes its results once, where a
// composition of stock operations passes over memory for every step.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "pool.h"
#include "simd.h"

namespace duo::cpu {

constexpr int64_t kItemFloats = 1 << 14;  // an item is as many rows as hold about this many numbers

/// body(first, end) over ranges of rows of `width` numbers each; the ranges do not depend on the number of threads.
template <class Body>
void for_row_ranges(Pool& pool, int64_t rows, int64_t width, const Body& body) {
  const int64_t step = std::max<int64_t>(1, kItemFloats / std::max<int64_t>(1, width));
  pool.run((rows + step - 1) / step, 8 * rows * width, [&](int64_t item, int) { body(item * step, std::min(rows, (item + 1) * step)); });
}

/// f(i) for i = 0..n-1 in whole vectors, then g(i) for each number that is left.
template <class F, class G>
DUO_INLINE void in_vectors(int64_t n, const F& f, const G& g) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) f(i);
  for (; i < n; i++) g(i);
}

/// a + b, both (rows, n), or b (n) for every row.
inline void add(Pool& pool, const float* a, const float* b, float* y, int64_t rows, int64_t n, bool sameForAllRows) {
  for_row_ranges(pool, rows, n, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const float *x = a + r * n, *z = sameForAllRows ? b : b + r * n;
      float* to = y + r * n;
      in_vectors(n, [&](int64_t i) { store(to + i, load(x + i) + load(z + i)); }, [&](int64_t i) { to[i] = x[i] + z[i]; });
    }
  });
}

/// Sum over i of x[i] y[i].
DUO_INLINE float dot(const float* x, const float* y, int64_t n) {
  Vec sums{};
  float rest = 0;
  in_vectors(n, [&](int64_t i) { sums += load(x + i) * load(y + i); }, [&](int64_t i) { rest += x[i] * y[i]; });
  return sum(sums) + rest;
}

inline float inverse_rms(const float* x, int64_t n, float eps) { return 1.0f / std::sqrt(dot(x, x, n) / static_cast<float>(n) + eps); }

/// y = x / sqrt(mean(x^2) + eps) * weight, x and y (rows, n).
inline void rms_norm(Pool& pool, const float* x, const float* weight, float* y, int64_t rows, int64_t n, float eps) {
  for_row_ranges(pool, rows, n, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const float *from = x + r * n, inverse = inverse_rms(from, n, eps);
      float* to = y + r * n;
      in_vectors(n, [&](int64_t i) { store(to + i, load(from + i) * inverse * load(weight + i)); }, [&](int64_t i) { to[i] = from[i] * inverse * weight[i]; });
    }
  });
}

/// With r = 1 / rms(x), m = x r and g = dy weight: dx = r (g - m mean(g m)).
inline void rms_norm_backward(Pool& pool, const float* dy, const float* x, const float* weight, float* dx, int64_t rows, int64_t n, float eps) {
  for_row_ranges(pool, rows, n, [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) {
      const float *d = dy + r * n, *from = x + r * n, inverse = inverse_rms(from, n, eps);
      float* to = dx + r * n;
      in_vectors(n, [&](int64_t i) { store(to + i, load(d + i) * load(weight + i)); }, [&](int64_t i) { to[i] = d[i] * weight[i]; });
      const float along = dot(to, from, n) * inverse * inverse / static_cast<float>(n);
      in_vectors(n, [&](int64_t i) { store(to + i, (load(to + i) - load(from + i) * along) * inverse); },
                 [&](int64_t i) { to[i] = (to[i] - from[i] * along) * inverse; });
    }
  });
}

/// x (tokens, heads, 2 half) rotated: (a, b) becomes (a cos - b sin, b cos + a sin); `direction` -1 rotates back. cos, sin (tokens, half).
inline void rotate(Pool& pool, const float* x, const float* cos, const float* sin, float* y, int64_t tokens, int64_t heads, int64_t half, float direction) {
  for_row_ranges(pool, tokens, heads * 2 * half, [&](int64_t first, int64_t end) {
    for (int64_t row = first * heads; row < end * heads; row++) {
      const float *a = x + row * 2 * half, *b = a + half, *c = cos + row / heads * half, *s = sin + row / heads * half;
      float *to = y + row * 2 * half, *to2 = to + half;
      in_vectors(
          half,
          [&](int64_t i) {
            const Vec turn = load(s + i) * direction;
            store(to + i, load(a + i) * load(c + i) - load(b + i) * turn);
            store(to2 + i, load(b + i) * load(c + i) + load(a + i) * turn);
          },
          [&](int64_t i) {
            to[i] = a[i] * c[i] - b[i] * (s[i] * direction);
            to2[i] = b[i] * c[i] + a[i] * (s[i] * direction);
          });
    }
  });
}

/// 1 / (1 + exp(-x)).
DUO_INLINE Vec sigmoid(Vec x) {
  const Vec power = x * -kLog2E, largest = splat(127.0f);  // exp2 wants less than 128; the result is 0 within 1e-38 there
  return 1.0f / (exp2(power > largest ? largest : power) + 1.0f);
}

/// A vector's worth of numbers or the `count` that are left, as vectors: kernels over many numbers then have one body.
DUO_INLINE Vec load_some(const float* p, int64_t count) {
  if (count >= kLanes) return load(p);
  Vec x{};
  for (int64_t i = 0; i < count; i++) x[i] = p[i];
  return x;
}
DUO_INLINE void store_some(float* p, Vec x, int64_t count) {
  if (count >= kLanes) return store(p, x);
  for (int64_t i = 0; i < count; i++) p[i] = x[i];
}

/// silu(gate) * up, n numbers.
inline void swiglu(Pool& pool, const float* gate, const float* up, float* y, int64_t n) {
  for_row_ranges(pool, n, 1, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; i += kLanes) {
      const Vec g = load_some(gate + i, end - i);
      store_some(y + i, g * sigmoid(g) * load_some(up + i, end - i), end - i);
    }
  });
}

/// With s = sigmoid(gate): dUp = dy gate s, dGate = dy up s (1 + gate (1 - s)).
inline void swiglu_backward(Pool& pool, const float* dy, const float* gate, const float* up, float* dGate, float* dUp, int64_t n) {
  for_row_ranges(pool, n, 1, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; i += kLanes) {
      const Vec g = load_some(gate + i, end - i), d = load_some(dy + i, end - i), s = sigmoid(g), silu = g * s;
      store_some(dGate + i, d * load_some(up + i, end - i) * (s + silu * (1.0f - s)), end - i);
      store_some(dUp + i, d * silu, end - i);
    }
  });
}

/// Sizes of a mix of two attentions, (tokens, kvHeads, width): width = group * headDim numbers share a gate.
struct MixShape {
  int64_t tokens, kvHeads, width;
};

/// g * full + (1 - g) * stream: a gate of 1 or 0 gives one branch exactly.
inline void mix_gates(Pool& pool, const float* full, const float* stream, const float* gates, float* mix, const MixShape& shape) {
  const int64_t n = shape.width;
  for_row_ranges(pool, shape.tokens, shape.kvHeads * n, [&](int64_t first, int64_t end) {
    for (int64_t row = first * shape.kvHeads; row < end * shape.kvHeads; row++) {
      const float g = gates[row % shape.kvHeads], rest = 1.0f - g, *f = full + row * n, *s = stream + row * n;
      float* to = mix + row * n;
      in_vectors(n, [&](int64_t i) { store(to + i, load(f + i) * g + load(s + i) * rest); }, [&](int64_t i) { to[i] = f[i] * g + s[i] * rest; });
    }
  });
}

/// dFull = g d, dStream = (1 - g) d, dGates = sum of d (full - stream) over tokens and width.
inline void mix_gates_backward(Pool& pool, const float* dMix, const float* full, const float* stream, const float* gates, float* dFull, float* dStream,
                               float* dGates, const MixShape& shape) {
  const int64_t n = shape.width;
  std::vector<float> sums(shape.tokens * shape.kvHeads);  // per token, added up in the order of the tokens
  for_row_ranges(pool, shape.tokens, shape.kvHeads * n, [&](int64_t first, int64_t end) {
    for (int64_t row = first * shape.kvHeads; row < end * shape.kvHeads; row++) {
      const float g = gates[row % shape.kvHeads], rest = 1.0f - g, *d = dMix + row * n, *f = full + row * n, *s = stream + row * n;
      float *toFull = dFull + row * n, *toStream = dStream + row * n, left = 0;
      Vec along{};
      in_vectors(
          n,
          [&](int64_t i) {
            const Vec x = load(d + i);
            store(toFull + i, x * g);
            store(toStream + i, x * rest);
            along += x * (load(f + i) - load(s + i));
          },
          [&](int64_t i) {
            toFull[i] = d[i] * g;
            toStream[i] = d[i] * rest;
            left += d[i] * (f[i] - s[i]);
          });
      sums[row] = sum(along) + left;
    }
  });
  for (int64_t h = 0; h < shape.kvHeads; h++) {
    double total = 0;
    for (int64_t t = 0; t < shape.tokens; t++) total += sums[t * shape.kvHeads + h];
    dGates[h] = static_cast<float>(total);
  }
}

}  // namespace duo::cpu
