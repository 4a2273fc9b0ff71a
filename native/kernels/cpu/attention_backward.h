// Attention backward: dq, dk, dv from dOut, with the scores computed again from q, k and the forward's log-sum-exp.
//
//   P = exp(scale q k^T - lse)   dP = dOut v^T   dS = P (dP - sum(dOut out))
//   dv = P^T dOut   dk = scale dS^T q   dq = scale dS k
//
// One item is a (KV head, every n-th block of queries). It holds its own dk and dv; these are added up in a fixed order at the end, so
// results do not depend on the number of threads. Query rows whose dOut is exactly zero add nothing but zeros and are left out: sums
// are carried on row by row in the order of the rows, so leaving them out does not change a bit. Gates at 0 and 1 leave one of the two
// branches out this way. Bound by arithmetic: 10 headDim FMA-flops per visible (query, key) pair.
#pragma once
#include <cstring>

#include "attention.h"

namespace duo::cpu {

constexpr int64_t kBackwardPanels = 6;  // panels of a block of keys
constexpr int64_t kBackwardKeys = kBackwardPanels * kColumns;
constexpr int64_t kItemsWanted = 8;  // by this many the work is shared out, whatever the number of threads

struct AttentionGradients {
  float *dq, *dk, *dv;
};

class AttentionBackward {
 public:
  /// dOut, out (queries, heads, headDim), lse (queries, heads); `skipZeroRows` false computes what is known to be zero, for tests.
  AttentionBackward(const Attention& a, const float* dOut, const float* out, const float* lse, AttentionGradients to, bool skipZeroRows = true)
      : a_(a), dOut_(dOut), out_(out), lse_(lse), to_(to), skip_(skipZeroRows), scale_(a.scale()), positions_(a.keyPositions, a.keys),
        keys_(positions_.panels() * kColumns), width_(padded_width(a)), depth_(round_up(a.headDim, kRows)), stride_(row_stride(a)),
        rows_(block_rows(a)), parts_(std::min(ceil_div(kItemsWanted, a.kvHeads), ceil_div(a.queries, block_queries(a)))) {}

  void run(Pool& pool) {
    const int64_t perHead = head_floats(), batch = heads_per_batch(a_, perHead);
    Buffer memory(batch * perHead), scratch(pool.threads() * scratch_floats());
    for (int64_t kv = 0; kv < a_.kvHeads; kv += batch) run_heads(pool, kv, std::min(batch, a_.kvHeads - kv), memory.data(), scratch.data());
  }

 private:
  static constexpr int64_t kScoreStride = kBackwardKeys + 16;

  struct Packed {
    float *keysAcross, *valuesAcross, *keys;  // panels of K^T, of V^T, and of K
  };
  struct Scratch {
    float *q, *dOut, *dq, *p, *ds, *lse, *delta;
    Row* rows;
  };
  /// Which rows of a block see a panel of keys, as a range.
  struct Seeing {
    int64_t first = 0, end = 0;
  };

  int64_t packed_floats() const { return 2 * keys_ * a_.headDim + keys_ * width_; }
  int64_t sum_floats() const { return keys_ * depth_; }
  int64_t head_floats() const { return packed_floats() + parts_ * 2 * sum_floats(); }
  Packed packed_at(float* memory, int64_t head) const {
    float* at = memory + head * head_floats();
    return {at, at + keys_ * a_.headDim, at + 2 * keys_ * a_.headDim};
  }
  /// dk of one item, as panels of dk^T; its dv follows.
  float* sums_at(float* memory, int64_t head, int64_t part) const {
    return memory + head * head_floats() + packed_floats() + part * 2 * sum_floats();
  }
  int64_t scratch_floats() const {
    return round_up(rows_ * (2 * stride_ + width_ + 2 * kScoreStride + 2 + static_cast<int64_t>(sizeof(Row) / sizeof(float))), 16);
  }
  Scratch carve(float* at) const {
    Scratch s;
    s.q = at, at += rows_ * stride_;
    s.dOut = at, at += rows_ * stride_;
    s.dq = at, at += rows_ * width_;
    s.p = at, at += rows_ * kScoreStride;
    s.ds = at, at += rows_ * kScoreStride;
    s.rows = reinterpret_cast<Row*>(at), at += rows_ * static_cast<int64_t>(sizeof(Row) / sizeof(float));
    s.lse = at, at += rows_;
    s.delta = at;
    return s;
  }

  void run_heads(Pool& pool, int64_t firstHead, int64_t heads, float* memory, float* scratch) {
    const int64_t panels = positions_.panels(), pieces = ceil_div(panels, kBackwardPanels);
    const auto each_piece = [&](auto body) {
      pool.run(heads * pieces, heads * head_floats(), [&](int64_t item, int) {
        const int64_t first = item % pieces * kBackwardPanels;
        body(item / pieces, first, std::min(panels, first + kBackwardPanels));
      });
    };
    each_piece([&](int64_t head, int64_t first, int64_t end) { pack(firstHead + head, packed_at(memory, head), first, end); });
    pool.run(heads * parts_, heads * a_.queries * a_.group * sum_floats(), [&](int64_t item, int worker) {
      const int64_t head = item / parts_, part = item % parts_, tokens = block_queries(a_);
      float* dk = sums_at(memory, head, part);
      std::memset(dk, 0, sizeof(float) * 2 * sum_floats());
      for (int64_t first = part * tokens; first < a_.queries; first += parts_ * tokens)
        block(firstHead + head, first, std::min(tokens, a_.queries - first), packed_at(memory, head), dk, dk + sum_floats(),
              carve(scratch + worker * scratch_floats()));
    });
    each_piece([&](int64_t head, int64_t first, int64_t end) { add_up(firstHead + head, sums_at(memory, head, 0), first, end); });
  }

  void pack(int64_t kv, const Packed& to, int64_t firstPanel, int64_t endPanel) const {
    const int64_t stride = a_.keyStride(), first = firstPanel * kColumns, end = std::min(a_.keys, endPanel * kColumns);
    const float *k = a_.k + kv * a_.headDim, *v = a_.v + kv * a_.headDim;
    for (int64_t n = first; n < end; n += kColumns) {
      const int64_t count = std::min<int64_t>(kColumns, end - n);
      pack_transposed(to.keysAcross + n * a_.headDim, k + n * stride, stride, count, a_.headDim);
      pack_transposed(to.valuesAcross + n * a_.headDim, v + n * stride, stride, count, a_.headDim);
    }
    pack_columns(to.keys, keys_, k, stride, first, end - first, a_.headDim);
    for (int64_t d = 0; d < width_ / kColumns; d++)  // hidden keys count 0 times what stands here, so it must be a number
      std::fill(to.keys + (d * keys_ + end) * kColumns, to.keys + (d * keys_ + endPanel * kColumns) * kColumns, 0.0f);
  }

  void block(int64_t kv, int64_t first, int64_t count, const Packed& packed, float* dk, float* dv, const Scratch& s) const {
    LimitRange all;
    int64_t used = 0;
    for (int64_t query = first; query < first + count; query++) {
      const Limits limits = limits_of(a_.window, a_.position(query));
      for (int64_t g = 0; g < a_.group; g++)
        if (load_row(kv, {query, g, limits}, s, used)) all.add(limits), used++;
    }
    if (used == 0) return;
    const int64_t rows = round_up(used, kRows);
    for (int64_t r = used; r < rows; r++) fill_up(s, used - 1, r);
    std::memset(s.dq, 0, sizeof(float) * rows * width_);
    for_seen_blocks(positions_, all, kBackwardPanels, [&](int64_t panel, int64_t end) { key_block(s, rows, panel, end, packed, dk, dv); });
    for (int64_t r = 0; r < used; r++) {
      float* to = to_.dq + a_.queryOffset(s.rows[r].query, kv, s.rows[r].g);
      for (int64_t d = 0; d < a_.headDim; d++) to[d] = s.dq[r * width_ + d] * scale_;
    }
  }

  /// Row `at` of the block, unless its dOut is zero: then dq is, too.
  bool load_row(int64_t kv, const Row& row, const Scratch& s, int64_t at) const {
    const int64_t offset = a_.queryOffset(row.query, kv, row.g), D = a_.headDim;
    const float *dOut = dOut_ + offset, *out = out_ + offset, *q = a_.q + offset;
    if (skip_ && std::all_of(dOut, dOut + D, [](float x) { return x == 0.0f; })) {
      std::fill(to_.dq + offset, to_.dq + offset + D, 0.0f);
      return false;
    }
    float *qTo = s.q + at * stride_, *dOutTo = s.dOut + at * stride_, delta = 0;
    for (int64_t d = 0; d < D; d++) qTo[d] = q[d] * (scale_ * kLog2E);
    std::fill(qTo + D, qTo + stride_, 0.0f);
    std::copy(dOut, dOut + D, dOutTo);
    std::fill(dOutTo + D, dOutTo + stride_, 0.0f);
    for (int64_t d = 0; d < D; d++) delta += dOut[d] * out[d];
    const float lse = lse_[row.query * a_.heads + a_.headOf(kv) + row.g];
    s.rows[at] = row;
    s.delta[at] = delta;
    s.lse[at] = lse == -kInfinity ? kInfinity : lse * kLog2E;  // a row that saw nothing has no probabilities
    return true;
  }

  /// A spare row of the last tile: with q and dOut 0 it adds exactly nothing.
  void fill_up(const Scratch& s, int64_t last, int64_t at) const {
    s.rows[at] = s.rows[last];
    std::fill(s.q + at * stride_, s.q + (at + 1) * stride_, 0.0f);
    std::fill(s.dOut + at * stride_, s.dOut + (at + 1) * stride_, 0.0f);
    s.delta[at] = 0, s.lse[at] = 0;
  }

  void key_block(const Scratch& s, int64_t rows, int64_t panel, int64_t endPanel, const Packed& packed, float* dk, float* dv) const {
    Seeing seeing[kBackwardPanels];
    for (int64_t r = 0; r < rows; r += kRows) row_group(s, r, panel, endPanel, packed, seeing);
    for (int64_t p = panel; p < endPanel; p++) {
      const Seeing& by = seeing[p - panel];
      for (int64_t d = 0; d < depth_ && by.first < by.end; d += kRows) {
        const int64_t to = (p * depth_ + d) * kColumns, column = (p - panel) * kColumns;
        across(dv + to, s.dOut + d, s.p + column, by);
        across(dk + to, s.q + d, s.ds + column, by);
      }
    }
  }

  /// to(d, key) += sum over rows of x(row, d) * weight(row, key), for kRows d and a panel of keys.
  void across(float* to, const float* x, const float* weight, const Seeing& by) const {
    Tile t = load_tile(to, kColumns);
    multiply_columns(t, by.end - by.first, x + by.first * stride_, stride_, weight + by.first * kScoreStride, kScoreStride);
    store_tile(t, to, kColumns);
  }

  /// P and dS of kRows rows for the panels of a block, and their share of dq.
  void row_group(const Scratch& s, int64_t r, int64_t panel, int64_t endPanel, const Packed& packed, Seeing* seeing) const {
    LimitRange range;
    for (int i = 0; i < kRows; i++) range.add(s.rows[r + i].limits);
    const auto seen = [&](int64_t p) { return range.of(positions_.lowest[p], positions_.highest[p]); };
    int64_t first = panel, end = endPanel;
    while (first < end && seen(first) == Seen::none) first++;
    while (first < end && seen(end - 1) == Seen::none) end--;
    for (int64_t p = first; p < end; p++) {
      float *at = s.p + r * kScoreStride + (p - panel) * kColumns, *ds = s.ds + r * kScoreStride + (p - panel) * kColumns;
      probabilities(s, r, p, seen(p), packed, at, ds);
      widen(seeing[p - panel], r, at, ds);
    }
    const float* ds = s.ds + r * kScoreStride + (first - panel) * kColumns;
    for (int64_t d = 0; d < width_ && first < end; d += kColumns) {
      float* dq = s.dq + r * width_ + d;
      Tile t = load_tile(dq, width_);
      multiply_rows(t, (end - first) * kColumns, ds, kScoreStride, packed.keys + d * keys_ + first * kColumns * kColumns, kColumns);
      store_tile(t, dq, width_);
    }
  }

  /// Adds rows r.. to those that see a panel; the rows between see none of it, so their P and dS there are 0.
  void widen(Seeing& by, int64_t r, float* p, float* ds) const {
    if (by.end == 0) by.first = by.end = r;
    for (int64_t between = by.end - r; between < 0; between += kRows) {
      store_tile(zero_tile(), p + between * kScoreStride, kScoreStride);
      store_tile(zero_tile(), ds + between * kScoreStride, kScoreStride);
    }
    by.end = r + kRows;
  }

  /// One tile of P and dS.
  void probabilities(const Scratch& s, int64_t r, int64_t panel, Seen seen, const Packed& packed, float* p, float* ds) const {
    Tile t = zero_tile();
    if (seen == Seen::none) {
      store_tile(t, p, kScoreStride);
      store_tile(t, ds, kScoreStride);
      return;
    }
    multiply_rows(t, a_.headDim, s.q + r * stride_, stride_, packed.keysAcross + panel * kColumns * a_.headDim, kColumns);
    const int32_t* positions = positions_.position.data() + panel * kColumns;
#pragma GCC unroll 8
    for (int i = 0; i < kRows; i++)
      for (int half = 0; half < 2; half++) {
        Vec& x = t.sums[i][half];
        if (seen == Seen::some) hide(x, s.rows[r + i].limits, positions + half * kLanes);
        x = exp2(x - s.lse[r + i]);
      }
    store_tile(t, p, kScoreStride);
    t = zero_tile();
    multiply_rows(t, a_.headDim, s.dOut + r * stride_, stride_, packed.valuesAcross + panel * kColumns * a_.headDim, kColumns);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; i++)
      for (int half = 0; half < 2; half++) {
        Vec& x = t.sums[i][half];
        x = load(p + i * kScoreStride + half * kLanes) * (x - s.delta[r + i]);
      }
    store_tile(t, ds, kScoreStride);
  }

  /// The parts' dk and dv of some keys, added up in order. q carried scale * log2(e), so dk gets the rest of the scale here.
  void add_up(int64_t kv, float* sums, int64_t firstPanel, int64_t endPanel) const {
    const int64_t from = firstPanel * depth_ * kColumns, count = (endPanel - firstPanel) * depth_ * kColumns;
    for (int64_t part = 1; part < parts_; part++)
      for (int64_t i = from; i < from + count; i++) {
        sums[i] += sums[part * 2 * sum_floats() + i];
        sums[sum_floats() + i] += sums[(part * 2 + 1) * sum_floats() + i];
      }
    for (int64_t key = firstPanel * kColumns; key < std::min(a_.keys, endPanel * kColumns); key++) {
      const float *dk = sums + key / kColumns * depth_ * kColumns + key % kColumns, *dv = dk + sum_floats();
      const int64_t to = key * a_.keyStride() + kv * a_.headDim;
      for (int64_t d = 0; d < a_.headDim; d++) to_.dk[to + d] = dk[d * kColumns] * kLn2, to_.dv[to + d] = dv[d * kColumns];
    }
  }

  const Attention a_;
  const float *const dOut_, *const out_, *const lse_;
  const AttentionGradients to_;
  const bool skip_;
  const float scale_;
  const KeyPositions positions_;
  const int64_t keys_, width_, depth_;    // keys in whole panels; headDim in whole panels, and in whole rows of a tile
  const int64_t stride_, rows_, parts_;  // of a query row; of a block; items per KV head
};

}  // namespace duo::cpu
