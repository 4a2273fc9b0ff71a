// Attention forward, softmax(scale q k^T + mask) v, with an online softmax: scores exist for one tile of queries and keys at a time.
//
// One item is a (KV head, block of queries). Keys are packed once per call as panels of K^T (scores) and of V (outputs); per
// kKeyBlock keys a block's rows go by in groups of kRows: scores, mask, maximum, exponentials, and the product with V, while the
// packed keys stay in the first-level cache. Tiles that no row of a group sees are skipped, so a streaming head costs
// queries x (sink + recent). Bound by arithmetic: 4 headDim FMA-flops per visible (query, key) pair.
#pragma once
#include "attention.h"

namespace duo::cpu {

constexpr int64_t kKeyBlock = 4 * kColumns;

class AttentionForward {
 public:
  /// out (queries, heads, headDim); lse (queries, heads), or null when it is not wanted.
  AttentionForward(const Attention& a, float* out, float* lse)
      : a_(a), out_(out), lse_(lse), positions_(a.keyPositions, a.keys), width_(padded_width(a)), stride_(row_stride(a)), rows_(block_rows(a)), factor_(a.scale() * kLog2E) {}

  void run(Pool& pool) {
    const int64_t keys = positions_.panels() * kColumns;
    keyFloats_ = keys * a_.headDim, valueFloats_ = keys * width_;
    const int64_t batch = heads_per_batch(a_, keyFloats_ + valueFloats_);
    Buffer packed(batch * (keyFloats_ + valueFloats_)), scratch(pool.threads() * scratch_floats());
    for (int64_t kv = 0; kv < a_.kvHeads; kv += batch) run_heads(pool, kv, std::min(batch, a_.kvHeads - kv), packed.data(), scratch.data());
  }

 private:
  struct Scratch {
    float *q, *sums, *scores, *highest;
    Vec* total;
    Row* rows;
  };

  int64_t scratch_floats() const {
    const int64_t rowFloats = stride_ + width_ + 1 + kLanes + static_cast<int64_t>(sizeof(Row) / sizeof(float));
    return round_up(rows_ * rowFloats + kRows * kKeyBlock + 128, 16);
  }
  Scratch carve(float* at) const {
    Scratch s;
    s.q = at, at += rows_ * stride_;
    s.sums = at, at += rows_ * width_;
    s.scores = at, at += round_up(kRows * kKeyBlock, 16);
    s.total = reinterpret_cast<Vec*>(at), at += rows_ * kLanes;
    s.rows = reinterpret_cast<Row*>(at), at += round_up(rows_ * static_cast<int64_t>(sizeof(Row) / sizeof(float)), 16);
    s.highest = at;
    return s;
  }

  void run_heads(Pool& pool, int64_t firstHead, int64_t heads, float* packed, float* scratch) {
    const int64_t panels = positions_.panels(), perItem = 16, parts = ceil_div(panels, perItem);
    pool.run(heads * parts, heads * (keyFloats_ + valueFloats_), [&](int64_t item, int) {
      const int64_t head = item / parts, first = item % parts * perItem;
      float* at = packed + head * (keyFloats_ + valueFloats_);
      pack(firstHead + head, at, at + keyFloats_, first, std::min(panels, first + perItem));
    });
    // The last queries see the most keys: handing those out first evens out the end.
    const int64_t tokens = block_queries(a_), blocks = ceil_div(a_.queries, tokens);
    pool.run(heads * blocks, heads * rows_ * blocks * keyFloats_, [&](int64_t item, int worker) {
      const int64_t head = item % heads, first = (blocks - 1 - item / heads) * tokens;
      const float* at = packed + head * (keyFloats_ + valueFloats_);
      block(firstHead + head, first, std::min(tokens, a_.queries - first), at, at + keyFloats_, carve(scratch + worker * scratch_floats()));
    });
  }

  void pack(int64_t kv, float* keys, float* values, int64_t firstPanel, int64_t endPanel) const {
    const int64_t stride = a_.keyStride(), padded = positions_.panels() * kColumns;
    const int64_t first = firstPanel * kColumns, end = std::min(a_.keys, endPanel * kColumns);
    for (int64_t p = firstPanel; p < endPanel; p++)
      pack_transposed(keys + p * kColumns * a_.headDim, a_.k + p * kColumns * stride + kv * a_.headDim, stride,
                      std::min<int64_t>(kColumns, a_.keys - p * kColumns), a_.headDim);
    pack_columns(values, padded, a_.v + kv * a_.headDim, stride, first, end - first, a_.headDim);
    for (int64_t d = 0; d < width_ / kColumns; d++)  // a masked key counts 0 times its value, so the value must be a number
      std::fill(values + (d * padded + end) * kColumns, values + (d * padded + endPanel * kColumns) * kColumns, 0.0f);
  }

  void block(int64_t kv, int64_t first, int64_t count, const float* keys, const float* values, Scratch s) const {
    const int64_t used = count * a_.group, rows = round_up(used, kRows);
    LimitRange all;
    for (int64_t r = 0; r < rows; r++) {  // rows past the last repeat it; nobody reads them
      const int64_t query = first + std::min(r, used - 1) / a_.group;
      s.rows[r] = {query, r % a_.group, limits_of(a_.window, a_.position(query))};
      all.add(s.rows[r].limits);
      load_query(kv, s.rows[r], s.q + r * stride_);
      s.highest[r] = -kInfinity;
      s.total[r] = Vec{};
    }
    std::fill(s.sums, s.sums + rows * width_, 0.0f);
    for_seen_blocks(positions_, all, kKeyBlock / kColumns, [&](int64_t panel, int64_t end) {
      for (int64_t r = 0; r < rows; r += kRows) tile_row(s, r, panel, end, keys, values);
    });
    for (int64_t r = 0; r < used; r++) finish(kv, s, r);
  }

  /// Scores are wanted in powers of two: the query carries scale * log2(e).
  void load_query(int64_t kv, const Row& row, float* to) const {
    const float* from = a_.q + a_.queryOffset(row.query, kv, row.g);
    for (int64_t d = 0; d < a_.headDim; d++) to[d] = from[d] * factor_;
  }

  /// kRows rows against the keys of panels first..end-1.
  void tile_row(const Scratch& s, int64_t r, int64_t first, int64_t end, const float* keys, const float* values) const {
    LimitRange range;
    for (int i = 0; i < kRows; i++) range.add(s.rows[r + i].limits);
    while (first < end && range.of(positions_.lowest[first], positions_.highest[first]) == Seen::none) first++;
    while (first < end && range.of(positions_.lowest[end - 1], positions_.highest[end - 1]) == Seen::none) end--;
    if (first == end) return;
    for (int64_t p = first; p < end; p++) score(s, r, p, range, keys, s.scores + (p - first) * kColumns);
    float rescale[kRows];
    for (int i = 0; i < kRows; i++) rescale[i] = soften(s.scores + i * kKeyBlock, (end - first) * kColumns, s.highest[r + i], s.total[r + i]);
    const int64_t padded = positions_.panels() * kColumns;
    for (int64_t d = 0; d < width_; d += kColumns) {
      float* sums = s.sums + r * width_ + d;
      Tile t = load_tile(sums, width_);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; i++) t.sums[i][0] *= rescale[i], t.sums[i][1] *= rescale[i];
      multiply_rows(t, (end - first) * kColumns, s.scores, kKeyBlock, values + d * padded + first * kColumns * kColumns, kColumns);
      store_tile(t, sums, width_);
    }
  }

  /// One tile of scores, hidden ones -inf.
  void score(const Scratch& s, int64_t r, int64_t panel, const LimitRange& range, const float* keys, float* to) const {
    const Seen seen = range.of(positions_.lowest[panel], positions_.highest[panel]);
    Tile t = zero_tile();
    multiply_rows(t, a_.headDim, s.q + r * stride_, stride_, keys + panel * kColumns * a_.headDim, kColumns);
    if (seen != Seen::all) {
      const int32_t* positions = positions_.position.data() + panel * kColumns;
#pragma GCC unroll 8
      for (int i = 0; i < kRows; i++)
        for (int half = 0; half < 2; half++) hide(t.sums[i][half], s.rows[r + i].limits, positions + half * kLanes);
    }
    store_tile(t, to, kKeyBlock);
  }

  /// Scores to exponentials under the row's new maximum; returns the factor for what was summed under the old one.
  static float soften(float* scores, int64_t count, float& highest, Vec& total) {
    Vec top = load(scores);
    for (int64_t j = kLanes; j < count; j += kLanes) top = max(top, load(scores + j));
    const float now = std::max(highest, max(top));
    const float base = now == -kInfinity ? 0.0f : now;  // nothing seen yet: every exponential is 0, not NaN
    const float rescale = exp2(splat(highest - base))[0];
    highest = now;
    Vec sum = total * rescale;
    for (int64_t j = 0; j < count; j += kLanes) {
      const Vec e = exp2(load(scores + j) - base);
      sum += e;
      store(scores + j, e);
    }
    total = sum;
    return rescale;
  }

  void finish(int64_t kv, const Scratch& s, int64_t r) const {
    const Row& row = s.rows[r];
    const float total = sum(s.total[r]), inverse = total == 0.0f ? 0.0f : 1.0f / total;
    float* to = out_ + a_.queryOffset(row.query, kv, row.g);
    for (int64_t d = 0; d < a_.headDim; d++) to[d] = s.sums[r * width_ + d] * inverse;
    if (lse_) lse_[row.query * a_.heads + a_.headOf(kv) + row.g] = (s.highest[r] + std::log2(total)) * kLn2;
  }

  const Attention a_;
  float* const out_;
  float* const lse_;
  const KeyPositions positions_;
  const int64_t width_, stride_, rows_;  // padded headDim; stride of a query row; rows of a block
  const float factor_;
  int64_t keyFloats_ = 0, valueFloats_ = 0;  // packed, per KV head
};

}  // namespace duo::cpu
