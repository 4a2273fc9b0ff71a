// Attention backward: dq, dk, dv from dOut, with the scores computed again from q, k and the forward's log-sum-exp.
//
//   P = exp(scale q k^T - lse)   dP = dOut v^T   dS = P (dP - sum(dOut out))
//   dv = P^T dOut   dk = scale dS^T q   dq = scale dS k
//
// One item is a (KV head, every kParts-th block of queries). It holds its own dk and dv; these are added up in a fixed order at the
// end, so results do not depend on the number of threads. Query rows whose dOut is exactly zero add nothing but zeros and are left
// out: sums are carried on row by row in the order of the rows, so leaving them out does not change a bit. Gates at 0 and 1 leave one
// of the two branches out this way. Bound by arithmetic: 10 headDim FMA-flops per visible (query, key) pair.
#pragma once
#include <cstring>

#include "attention.h"

namespace duo::cpu {

constexpr int64_t kBackwardKeys = 96;  // keys of a block: whole panels, and whole groups of kRows
static_assert(kBackwardKeys % kColumns == 0 && kBackwardKeys % kRows == 0);
constexpr int64_t kItemsWanted = 8;  // by this many the work is shared out, whatever the number of threads

struct AttentionGradients {
  float *dq, *dk, *dv;
};

class AttentionBackward {
 public:
  /// dOut, out (queries, heads, headDim), lse (queries, heads); `skipZeroRows` false computes what is known to be zero, for tests.
  AttentionBackward(const Attention& a, const float* dOut, const float* out, const float* lse, AttentionGradients to, bool skipZeroRows = true)
      : a_(a), dOut_(dOut), out_(out), lse_(lse), to_(to), skip_(skipZeroRows), positions_(a.keyPositions, a.keys),
        keys_(round_up(a.keys, kBackwardKeys)), width_(padded_width(a)), stride_(row_stride(a)), rows_(block_rows(a)),
        parts_(std::min(ceil_div(kItemsWanted, a.kvHeads), ceil_div(a.queries, block_queries(a)))) {}

  void run(Pool& pool) {
    const int64_t perHead = packed_floats() + parts_ * 2 * sum_floats(), batch = heads_per_batch(a_, perHead);
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

  int64_t packed_floats() const { return 2 * keys_ * a_.headDim + keys_ * width_; }
  int64_t sum_floats() const { return keys_ * width_; }
  Packed packed_at(float* memory, int64_t head) const {
    float* at = memory + head * (packed_floats() + parts_ * 2 * sum_floats());
    return {at, at + keys_ * a_.headDim, at + 2 * keys_ * a_.headDim};
  }
  /// dk of one item; its dv follows.
  float* sums_at(float* memory, int64_t head, int64_t part) const {
    return memory + head * (packed_floats() + parts_ * 2 * sum_floats()) + packed_floats() + part * 2 * sum_floats();
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
    const int64_t keyBlocks = keys_ / kBackwardKeys;
    pool.run(heads * keyBlocks, [&](int64_t item, int) {
      const int64_t head = item / keyBlocks;
      pack(firstHead + head, packed_at(memory, head), item % keyBlocks * kBackwardKeys);
    });
    pool.run(heads * parts_, [&](int64_t item, int worker) {
      const int64_t head = item / parts_, part = item % parts_;
      float* dk = sums_at(memory, head, part);
      std::memset(dk, 0, sizeof(float) * 2 * sum_floats());
      const int64_t tokens = block_queries(a_);
      for (int64_t first = part * tokens; first < a_.queries; first += parts_ * tokens)
        block(firstHead + head, first, std::min(tokens, a_.queries - first), packed_at(memory, head), dk, dk + sum_floats(),
              carve(scratch + worker * scratch_floats()));
    });
    pool.run(heads * keyBlocks, [&](int64_t item, int) {
      const int64_t head = item / keyBlocks;
      add_up(firstHead + head, sums_at(memory, head, 0), item % keyBlocks * kBackwardKeys);
    });
  }

  void pack(int64_t kv, const Packed& to, int64_t first) const {
    const int64_t stride = a_.keyStride(), count = std::min(kBackwardKeys, a_.keys - first);
    const float *k = a_.k + kv * a_.headDim, *v = a_.v + kv * a_.headDim;
    for (int64_t n = first; n < first + kBackwardKeys; n += kColumns) {
      const int64_t some = std::clamp<int64_t>(a_.keys - n, 0, kColumns);
      pack_transposed(to.keysAcross + n * a_.headDim, k + n * stride, stride, some, a_.headDim);
      pack_transposed(to.valuesAcross + n * a_.headDim, v + n * stride, stride, some, a_.headDim);
    }
    pack_columns(to.keys, keys_, k, stride, first, count, a_.headDim);
    for (int64_t d = 0; d < width_ / kColumns; d++) {  // hidden keys count 0 times what stands here, so it must be a number
      float* panel = to.keys + d * keys_ * kColumns;
      std::fill(panel + (first + count) * kColumns, panel + (first + kBackwardKeys) * kColumns, 0.0f);
    }
  }

  void block(int64_t kv, int64_t first, int64_t count, const Packed& packed, float* dk, float* dv, const Scratch& s) const {
    LimitRange all;
    int64_t used = 0;
    for (int64_t n = 0; n < count * a_.group; n++) {
      const Row row{first + n / a_.group, n % a_.group, limits_of(a_.window, a_.position(first + n / a_.group))};
      if (load_row(kv, row, s, used)) all.add(row.limits), used++;
    }
    if (used == 0) return;
    const int64_t rows = round_up(used, kRows);
    for (int64_t r = used; r < rows; r++) repeat_last(s, used - 1, r);
    std::memset(s.dq, 0, sizeof(float) * rows * width_);
    for (int64_t key = 0; key < keys_; key += kBackwardKeys) key_block(s, rows, key, all, packed, dk, dv);
    for (int64_t r = 0; r < used; r++) {
      float* to = to_.dq + a_.queryOffset(s.rows[r].query, kv, s.rows[r].g);
      for (int64_t d = 0; d < a_.headDim; d++) to[d] = s.dq[r * width_ + d] * a_.scale();
    }
  }

  /// Row `at` of the block, unless its dOut is zero: then dq is, too.
  bool load_row(int64_t kv, const Row& row, const Scratch& s, int64_t at) const {
    const int64_t offset = a_.queryOffset(row.query, kv, row.g);
    const float *dOut = dOut_ + offset, *out = out_ + offset, *q = a_.q + offset;
    const bool zero = std::all_of(dOut, dOut + a_.headDim, [](float x) { return x == 0.0f; });
    if (zero && skip_) {
      std::fill(to_.dq + offset, to_.dq + offset + a_.headDim, 0.0f);
      return false;
    }
    float *qTo = s.q + at * stride_, *dOutTo = s.dOut + at * stride_, delta = 0;
    for (int64_t d = 0; d < width_; d++) {
      qTo[d] = d < a_.headDim ? q[d] * (a_.scale() * kLog2E) : 0.0f;
      dOutTo[d] = d < a_.headDim ? dOut[d] : 0.0f;
    }
    for (int64_t d = 0; d < a_.headDim; d++) delta += dOut[d] * out[d];
    const float lse = lse_[row.query * a_.heads + a_.headOf(kv) + row.g];
    s.rows[at] = row;
    s.delta[at] = delta;
    s.lse[at] = lse == -kInfinity ? kInfinity : lse * kLog2E;  // a row that saw nothing has no probabilities
    return true;
  }

  /// Fills a tile's spare row: with dOut, q = 0 it adds exactly nothing.
  void repeat_last(const Scratch& s, int64_t last, int64_t at) const {
    s.rows[at] = s.rows[last];
    std::fill(s.q + at * stride_, s.q + at * stride_ + width_, 0.0f);
    std::fill(s.dOut + at * stride_, s.dOut + at * stride_ + width_, 0.0f);
    s.delta[at] = 0, s.lse[at] = 0;
  }

  Seen seen(const LimitRange& range, int64_t key) const {
    const int64_t panel = key / kColumns;
    return panel < positions_.panels() ? range.of(positions_.lowest[panel], positions_.highest[panel]) : Seen::none;
  }

  void key_block(const Scratch& s, int64_t rows, int64_t key, const LimitRange& all, const Packed& packed, float* dk, float* dv) const {
    bool any = false;
    for (int64_t n = 0; n < kBackwardKeys; n += kColumns) any |= seen(all, key + n) != Seen::none;
    if (!any) return;
    int64_t firstRow = rows, endRow = 0;
    for (int64_t r = 0; r < rows; r += kRows)
      if (row_group(s, r, key, packed)) firstRow = std::min(firstRow, r), endRow = r + kRows;
    for (int64_t n = 0; n < kBackwardKeys; n += kRows)
      for (int64_t d = 0; d < width_; d += kColumns) {
        const int64_t at = (key + n) * width_ + d;
        across(dv + at, s.p + n, s.dOut + d, firstRow, endRow);
        across(dk + at, s.ds + n, s.q + d, firstRow, endRow);
      }
  }

  /// to(key, d) += sum over rows of weight(row, key) * x(row, d), for kRows keys.
  void across(float* to, const float* weight, const float* x, int64_t firstRow, int64_t endRow) const {
    Tile t = load_tile(to, width_);
    multiply_columns(t, endRow - firstRow, weight + firstRow * kScoreStride, kScoreStride, x + firstRow * stride_, stride_);
    store_tile(t, to, width_);
  }

  /// P and dS of kRows rows and a block of keys, and their share of dq; false when the rows see none of the keys.
  bool row_group(const Scratch& s, int64_t r, int64_t key, const Packed& packed) const {
    LimitRange range;
    for (int i = 0; i < kRows; i++) range.add(s.rows[r + i].limits);
    int64_t first = kBackwardKeys, end = 0;
    for (int64_t n = 0; n < kBackwardKeys; n += kColumns) {
      const Seen some = seen(range, key + n);
      probabilities(s, r, key, n, some, packed);
      if (some != Seen::none) first = std::min(first, n), end = n + kColumns;
    }
    for (int64_t d = 0; d < width_ && first < end; d += kColumns) {
      float* dq = s.dq + r * width_ + d;
      Tile t = load_tile(dq, width_);
      multiply_rows(t, end - first, s.ds + r * kScoreStride + first, kScoreStride, packed.keys + d * keys_ + (key + first) * kColumns, kColumns);
      store_tile(t, dq, width_);
    }
    return first < end;
  }

  /// One tile of P and dS.
  void probabilities(const Scratch& s, int64_t r, int64_t key, int64_t n, Seen seen, const Packed& packed) const {
    float *p = s.p + r * kScoreStride + n, *ds = s.ds + r * kScoreStride + n;
    if (seen == Seen::none) {
      store_tile(zero_tile(), p, kScoreStride);
      store_tile(zero_tile(), ds, kScoreStride);
      return;
    }
    Tile t = zero_tile();
    multiply_rows(t, a_.headDim, s.q + r * stride_, stride_, packed.keysAcross + (key + n) * a_.headDim, kColumns);
    const int32_t* positions = positions_.position.data() + key + n;
#pragma GCC unroll 8
    for (int i = 0; i < kRows; i++)
      for (int half = 0; half < 2; half++) {
        Vec& x = t.sums[i][half];
        if (seen == Seen::some) hide(x, s.rows[r + i].limits, positions + half * kLanes);
        x = exp2(x - s.lse[r + i]);
      }
    store_tile(t, p, kScoreStride);
    t = zero_tile();
    multiply_rows(t, a_.headDim, s.dOut + r * stride_, stride_, packed.valuesAcross + (key + n) * a_.headDim, kColumns);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; i++)
      for (int half = 0; half < 2; half++) {
        Vec& x = t.sums[i][half];
        x = load(p + i * kScoreStride + half * kLanes) * (x - s.delta[r + i]);
      }
    store_tile(t, ds, kScoreStride);
  }

  /// The parts' dk and dv of a block of keys, added up in order. q carried scale * log2(e), so dk gets the rest of the scale here.
  void add_up(int64_t kv, const float* dk, int64_t first) const {
    const int64_t end = std::min(a_.keys, first + kBackwardKeys);
    for (int64_t key = first; key < end; key++)
      for (int64_t d = 0; d < a_.headDim; d++) {
        const float *k = dk + key * width_ + d, *v = k + sum_floats();
        float kTotal = 0, vTotal = 0;
        for (int64_t part = 0; part < parts_; part++) kTotal += k[part * 2 * sum_floats()], vTotal += v[part * 2 * sum_floats()];
        const int64_t to = key * a_.keyStride() + kv * a_.headDim + d;
        to_.dk[to] = kTotal * kLn2, to_.dv[to] = vTotal;
      }
  }

  const Attention a_;
  const float *const dOut_, *const out_, *const lse_;
  const AttentionGradients to_;
  const bool skip_;
  const KeyPositions positions_;
  const int64_t keys_, width_, stride_, rows_, parts_;  // padded keys and headDim; stride of a query row; rows of a block; items per head
};

}  // namespace duo::cpu
