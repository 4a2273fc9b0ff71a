// Products of activations with a frozen weight (out, in): y = x W^T forward, dx = dy W backward.
//
// The weight is packed into panels at every call (about 2 % of the work at 1,024 rows); items are blocks of rows times some panels.
// With few rows, as in decoding, nothing is packed: each output is a dot product with a row of the weight, and memory bounds it.
#pragma once
#include <algorithm>
#include <cstdint>

#include "pool.h"
#include "tile.h"

namespace duo::cpu {

constexpr int64_t kFewRows = 8;       // up to this many rows, dot products are faster than packing
constexpr int64_t kMatmulRows = 48;   // rows and panels of an item
constexpr int64_t kMatmulPanels = 8;
constexpr int64_t kMatmulDepth = 512;  // steps at a time: a panel of them stays in the first-level cache

/// x . w, both `depth` long, asking for w some way ahead: weights come straight from memory, one row after the other.
inline float dot_ahead(const float* x, const float* w, int64_t depth) {
  constexpr int64_t kAhead = 512;
  Vec sums[4] = {};
  int64_t k = 0;
  for (; k + 4 * kLanes <= depth; k += 4 * kLanes) {
    for (int i = 0; i < 4 * kLanes; i += 16) __builtin_prefetch(w + k + kAhead + i);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) sums[i] += load(x + k + i * kLanes) * load(w + k + i * kLanes);
  }
  float total = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; k < depth; k++) total += x[k] * w[k];
  return total;
}

/// y (rows, out) = x (rows, depth) times the transpose of w (out, depth), for few rows.
inline void matmul_few(Pool& pool, const float* x, const float* w, float* y, int64_t rows, int64_t out, int64_t depth) {
  constexpr int64_t kOutputs = 64;
  pool.run(ceil_div(out, kOutputs), rows * out * depth, [&](int64_t item, int) {
    for (int64_t n = item * kOutputs; n < std::min(out, (item + 1) * kOutputs); n++)
      for (int64_t r = 0; r < rows; r++) y[r * out + n] = dot_ahead(x + r * depth, w + n * depth, depth);
  });
}

enum class Weight { asStored, transposed };

class Matmul {
 public:
  /// y (rows, out) = x (rows, depth) times b, which is w (depth, out) as stored or the transpose of w (out, depth).
  Matmul(const float* x, const float* w, float* y, int64_t rows, int64_t out, int64_t depth, Weight weight)
      : x_(x), w_(w), y_(y), rows_(rows), out_(out), depth_(depth), weight_(weight), panels_(ceil_div(out, kColumns)) {}

  void run(Pool& pool) const {
    if (weight_ == Weight::transposed && rows_ <= kFewRows) return matmul_few(pool, x_, w_, y_, rows_, out_, depth_);
    Buffer packed(panels_ * depth_ * kColumns);
    pool.run(panels_, out_ * depth_, [&](int64_t panel, int) { pack(packed.data() + panel * depth_ * kColumns, panel * kColumns); });
    const int64_t across = ceil_div(panels_, kMatmulPanels);
    pool.run(ceil_div(rows_, kMatmulRows) * across, rows_ * out_ * depth_, [&](int64_t item, int) {
      const int64_t first = item / across * kMatmulRows, panel = item % across * kMatmulPanels;
      for (int64_t k = 0; k < depth_; k += kMatmulDepth)
        for (int64_t p = panel; p < std::min(panels_, panel + kMatmulPanels); p++)
          for (int64_t r = first; r < std::min(rows_, first + kMatmulRows); r += kRows)
            tile(r, p * kColumns, k, std::min(kMatmulDepth, depth_ - k), packed.data() + (p * depth_ + k) * kColumns);
    });
  }

 private:
  void pack(float* panel, int64_t column) const {
    const int64_t count = std::min<int64_t>(kColumns, out_ - column);
    if (weight_ == Weight::transposed) pack_transposed(panel, w_ + column * depth_, depth_, count, depth_);
    else pack_columns(panel, depth_, w_ + column, out_, 0, depth_, count);
  }

  /// One tile of y, `depth` steps from `k` on.
  void tile(int64_t row, int64_t column, int64_t k, int64_t depth, const float* panel) const {
    const int64_t rows = std::min<int64_t>(kRows, rows_ - row), columns = std::min<int64_t>(kColumns, out_ - column);
    float* to = y_ + row * out_ + column;
    const float* from = x_ + row * depth_ + k;
    if (rows == kRows && columns == kColumns) return add_product(from, depth_, panel, depth, to, out_, k > 0);
    alignas(64) float x[kRows * kMatmulDepth] = {}, y[kRows * kColumns] = {};
    for (int64_t i = 0; i < rows; i++) std::copy(from + i * depth_, from + i * depth_ + depth, x + i * kMatmulDepth);
    for (int64_t i = 0; i < rows && k > 0; i++) std::copy(to + i * out_, to + i * out_ + columns, y + i * kColumns);
    add_product(x, kMatmulDepth, panel, depth, y, kColumns, true);
    for (int64_t i = 0; i < rows; i++) std::copy(y + i * kColumns, y + i * kColumns + columns, to + i * out_);
  }

  static void add_product(const float* x, int64_t stride, const float* panel, int64_t depth, float* y, int64_t yStride, bool add) {
    Tile t = add ? load_tile(y, yStride) : zero_tile();
    multiply_rows(t, depth, x, stride, panel, kColumns);
    store_tile(t, y, yStride);
  }

  const float *const x_, *const w_;
  float* const y_;
  const int64_t rows_, out_, depth_;
  const Weight weight_;
  const int64_t panels_;
};

}  // namespace duo::cpu
