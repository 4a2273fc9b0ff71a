// What every attention kernel here takes, and the steps they share.
//
// Layouts are token-major: q, out (queries, heads, headDim), k, v (keys, kvHeads, headDim), lse (queries, heads). The query heads of
// one KV head (a group) see the same keys, so they are worked on together: the rows of a block are (query, head of the group).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "pool.h"
#include "tile.h"
#include "visibility.h"

namespace duo::cpu {

struct Attention {
  const float* q;
  const float* k;
  const float* v;
  int64_t queries, keys, heads, kvHeads, headDim;
  int64_t group;                                 // query heads per KV head
  const int32_t* queryPositions = nullptr;       // ascending; null: query n is at queryStart + n
  int32_t queryStart = 0;
  const int32_t* keyPositions = nullptr;         // null: key n is at position n
  Window window;
  const int32_t* kvHeadNumbers = nullptr;        // KV head n of k and v is number kvHeadNumbers[n] of the layer; null: n

  float scale() const { return 1.0f / std::sqrt(static_cast<float>(headDim)); }
  int32_t position(int64_t query) const { return queryPositions ? queryPositions[query] : static_cast<int32_t>(queryStart + query); }
  /// First query head of KV head `kv`.
  int64_t headOf(int64_t kv) const { return (kvHeadNumbers ? kvHeadNumbers[kv] : kv) * group; }
  /// Offset of a row of q or out: query `query`, head `g` of KV head `kv`'s group.
  int64_t queryOffset(int64_t query, int64_t kv, int64_t g) const { return (query * heads + headOf(kv) + g) * headDim; }
  int64_t keyStride() const { return kvHeads * headDim; }
};

constexpr int64_t kBlockRows = 96;           // rows of a query block: Q, dO and the sums of a block stay in the L2 cache
constexpr int64_t kPackBytes = 64 << 20;     // KV heads are packed in batches of about this size, which bounds the memory

inline int64_t block_queries(const Attention& a) { return std::max<int64_t>(1, kBlockRows / a.group); }
/// Rows of a block, padded to whole tiles.
inline int64_t block_rows(const Attention& a) { return round_up(block_queries(a) * a.group, kRows); }
inline int64_t padded_width(const Attention& a) { return round_up(a.headDim, kColumns); }
/// Row stride of blocks read both along and across: an odd number of cache lines, so that a column does not fall into few cache sets.
inline int64_t row_stride(const Attention& a) { return padded_width(a) + 16; }

/// One row of a block: a query and a head of its group.
struct Row {
  int64_t query, g;
  Limits limits;
};

/// KV heads whose packed copies take about kPackBytes.
inline int64_t heads_per_batch(const Attention& a, int64_t floatsPerHead) {
  return std::clamp<int64_t>(kPackBytes / (floatsPerHead * static_cast<int64_t>(sizeof(float)) + 1), 1, a.kvHeads);
}

/// Hides the scores of one row that it must not see.
DUO_INLINE void hide(Vec& score, const Limits& limits, const int32_t* positions) {
  score = sees(limits, load(positions)) ? score : splat(-kInfinity);
}

}  // namespace duo::cpu
