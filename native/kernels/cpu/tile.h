// The register-blocked product everything here is made of, and the layouts that feed it.
//
//   c(i, j) += sum over k of a(i, k) * b(k, j)      for kRows rows and kColumns columns
//
// kRows x 2 vectors of sums stay in registers; each step loads two vectors of b and broadcasts kRows numbers of a. With AVX2
// that is 12 FMAs for 8 loads, and the FMA units are what limits it.
//
// b comes as a *panel*: kColumns columns side by side, so that step k reads kColumns neighbouring floats.
#pragma once
#include <cstdint>

#include "simd.h"

namespace duo::cpu {

constexpr int kRows = 6;
constexpr int kColumns = 2 * kLanes;

constexpr int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }
constexpr int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }

struct Tile {
  Vec sums[kRows][2];
};

DUO_INLINE Tile zero_tile() { return Tile{}; }
DUO_INLINE Tile load_tile(const float* c, int64_t stride) {
  Tile t;
#pragma GCC unroll 8
  for (int i = 0; i < kRows; i++) t.sums[i][0] = load(c + i * stride), t.sums[i][1] = load(c + i * stride + kLanes);
  return t;
}
DUO_INLINE void store_tile(const Tile& t, float* c, int64_t stride) {
#pragma GCC unroll 8
  for (int i = 0; i < kRows; i++) store(c + i * stride, t.sums[i][0]), store(c + i * stride + kLanes, t.sums[i][1]);
}

/// t += a b with a(i, k) = a[i * rowStride + k * stepStride] and b(k, j) = b[k * bStride + j].
DUO_INLINE void multiply(Tile& t, int64_t depth, const float* a, int64_t rowStride, int64_t stepStride, const float* b, int64_t bStride) {
  for (int64_t k = 0; k < depth; k++) {
    const Vec b0 = load(b + k * bStride), b1 = load(b + k * bStride + kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; i++) {
      const Vec x = splat(a[i * rowStride + k * stepStride]);
      t.sums[i][0] += x * b0;
      t.sums[i][1] += x * b1;
    }
  }
}
/// Rows of a are contiguous.
DUO_INLINE void multiply_rows(Tile& t, int64_t depth, const float* a, int64_t stride, const float* b, int64_t bStride) {
  multiply(t, depth, a, stride, 1, b, bStride);
}
/// Columns of a are contiguous: the product with a's transpose.
DUO_INLINE void multiply_columns(Tile& t, int64_t depth, const float* a, int64_t stride, const float* b, int64_t bStride) {
  multiply(t, depth, a, 1, stride, b, bStride);
}

/// Lanes of two vectors whose numbers differ in bit `distance` change places; with every distance once, kLanes vectors are transposed.
template <int distance, int... lane>
DUO_INLINE void exchange(Vec& a, Vec& b, std::integer_sequence<int, lane...>) {
  const Vec x = pick<((lane & distance) ? kLanes + (lane ^ distance) : lane)...>(a, b);
  b = pick<((lane & distance) ? kLanes + lane : lane ^ distance)...>(a, b);
  a = x;
}
template <int distance>
DUO_INLINE void transpose(Vec (&x)[kLanes]) {
  if constexpr (distance > 0) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; i++)
      if (!(i & distance)) exchange<distance>(x[i], x[i + distance], std::make_integer_sequence<int, kLanes>{});
    transpose<distance / 2>(x);
  }
}

/// One panel of the transpose of `rows` (count <= kColumns of them, `depth` floats each): panel[k][j] = rows[j][k], 0 for absent rows.
inline void pack_transposed(float* panel, const float* rows, int64_t stride, int64_t count, int64_t depth) {
  int64_t k = 0;
  for (; k + kLanes <= depth; k += kLanes)
    for (int64_t j = 0; j < kColumns; j += kLanes) {
      Vec x[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; i++) x[i] = j + i < count ? load(rows + (j + i) * stride + k) : Vec{};
      transpose<kLanes / 2>(x);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; i++) store(panel + (k + i) * kColumns + j, x[i]);
    }
  for (; k < depth; k++)
    for (int64_t j = 0; j < kColumns; j++) panel[k * kColumns + j] = j < count ? rows[j * stride + k] : 0.0f;
}

/// Rows first..first+count-1 of a matrix of `width` columns into panels of kColumns columns, `panelRows` rows each, columns past the
/// width as 0: panels[p][row][j] = rows[row][p * kColumns + j].
inline void pack_columns(float* panels, int64_t panelRows, const float* rows, int64_t stride, int64_t first, int64_t count, int64_t width) {
  for (int64_t p = 0; p * kColumns < width; p++)
    for (int64_t row = first; row < first + count; row++) {
      float* to = panels + (p * panelRows + row) * kColumns;
      const float* from = rows + row * stride + p * kColumns;
      const int64_t columns = width - p * kColumns < kColumns ? width - p * kColumns : kColumns;
      for (int64_t j = 0; j < kColumns; j++) to[j] = j < columns ? from[j] : 0.0f;
    }
}

}  // namespace duo::cpu
