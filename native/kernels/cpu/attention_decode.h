// Attention of a few queries over many keys, as a decode step needs it: every key and value is read once, straight from the cache, so
// memory bounds it. One item is a (KV head, kDecodeKeys keys); the parts are put together in the order of the keys, so that the
// result is the same for any number of threads.
#pragma once
#include "attention.h"

namespace duo::cpu {

constexpr int64_t kDecodeKeys = 64;  // of one head, they stay in the first-level cache
constexpr int64_t kAhead = 8;
constexpr int64_t kDecodeQueries = 4;  // up to this many queries this is faster than packing the keys

class AttentionDecode {
 public:
  AttentionDecode(const Attention& a, float* out)
      : a_(a), out_(out), rows_(a.queries * a.group), stride_(round_up(a.headDim, kColumns) + kColumns), chunks_(ceil_div(a.keys, kDecodeKeys)),
        factor_(a.scale() * kLog2E) {}

  void run(Pool& pool) {
    Buffer parts(a_.kvHeads * chunks_ * rows_ * stride_), scores(pool.threads() * kDecodeKeys);
    pool.run(a_.kvHeads * chunks_, 2 * rows_ * a_.kvHeads * a_.keys * a_.headDim, [&](int64_t item, int worker) {
      const int64_t kv = item / chunks_, first = item % chunks_ * kDecodeKeys;
      for (int64_t r = 0; r < rows_; r++)
        row(kv, r, first, std::min(kDecodeKeys, a_.keys - first), scores.data() + worker * kDecodeKeys, parts.data() + (item * rows_ + r) * stride_);
    });
    for (int64_t kv = 0; kv < a_.kvHeads; kv++)
      for (int64_t r = 0; r < rows_; r++) put_together(kv, r, parts.data() + (kv * chunks_ * rows_ + r) * stride_);
  }

 private:
  const float* query(int64_t kv, int64_t r) const { return a_.q + a_.queryOffset(r / a_.group, kv, r % a_.group); }

  /// One row over `count` keys from `first`: part = unscaled output (headDim, padded), then the maximum and the total.
  void row(int64_t kv, int64_t r, int64_t first, int64_t count, float* scores, float* part) const {
    const float *q = query(kv, r), *k = a_.k + first * a_.keyStride() + kv * a_.headDim;
    const Limits limits = limits_of(a_.window, a_.position(r / a_.group));
    int64_t n = 0;
    for (; n + kLanes <= count; n += kLanes) store(scores + n, score_keys(q, k + n * a_.keyStride()));
    for (; n < count; n++) scores[n] = score_key(q, k + n * a_.keyStride());
    float highest = -kInfinity;
    for (n = 0; n < count; n++) {
      const int32_t at = a_.keyPositions ? a_.keyPositions[first + n] : static_cast<int32_t>(first + n);
      const bool seen = at < limits.end && ((at < limits.sink && at >= limits.floor) || at >= limits.start);
      scores[n] = seen ? scores[n] * factor_ : -kInfinity;
      highest = std::max(highest, scores[n]);
    }
    part[stride_ - 2] = highest;
    part[stride_ - 1] = soften(scores, count, highest == -kInfinity ? 0.0f : highest);
    weigh(part, scores, count, a_.v + first * a_.keyStride() + kv * a_.headDim);
  }

  /// q . k for kLanes neighbouring keys: sums of each in a vector of its own, transposed and added up.
  Vec score_keys(const float* q, const float* k) const {
    Vec sums[kLanes] = {};
    int64_t d = 0;
    for (; d + kLanes <= a_.headDim; d += kLanes) {
      const Vec x = load(q + d);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; i++) {
        __builtin_prefetch(k + (kAhead + i) * a_.keyStride() + d);  // rows of a head lie apart, which the hardware does not foresee
        sums[i] += x * load(k + i * a_.keyStride() + d);
      }
    }
    transpose<kLanes / 2>(sums);
    Vec total = sums[0];
#pragma GCC unroll 16
    for (int i = 1; i < kLanes; i++) total += sums[i];
    for (; d < a_.headDim; d++)
      for (int i = 0; i < kLanes; i++) total[i] += q[d] * k[i * a_.keyStride() + d];
    return total;
  }
  float score_key(const float* q, const float* k) const {
    float total = 0;
    for (int64_t d = 0; d < a_.headDim; d++) total += q[d] * k[d];
    return total;
  }

  /// Scores to exponentials; returns their sum.
  static float soften(float* scores, int64_t count, float base) {
    std::fill(scores + count, scores + round_up(count, kLanes), -kInfinity);
    Vec total{};
    for (int64_t n = 0; n < count; n += kLanes) {
      const Vec e = exp2(load(scores + n) - base);
      store(scores + n, e);
      total += e;
    }
    return sum(total);
  }

  /// part[d] = sum over keys of weight[key] * v[key][d].
  void weigh(float* part, const float* weight, int64_t count, const float* v) const {
    constexpr int kStrip = 8;
    int64_t d = 0;
    for (; d + kStrip * kLanes <= a_.headDim; d += kStrip * kLanes) strip<kStrip>(part + d, weight, count, v + d);
    for (; d + kLanes <= a_.headDim; d += kLanes) strip<1>(part + d, weight, count, v + d);
    for (; d < a_.headDim; d++) {
      part[d] = 0;
      for (int64_t n = 0; n < count; n++) part[d] += weight[n] * v[n * a_.keyStride() + d];
    }
  }
  template <int strips>
  void strip(float* part, const float* weight, int64_t count, const float* v) const {
    Vec sums[strips] = {};
    for (int64_t n = 0; n < count; n++, v += a_.keyStride()) {
      for (int i = 0; i < strips * kLanes; i += 16) __builtin_prefetch(v + kAhead * a_.keyStride() + i);
      const Vec w = splat(weight[n]);
#pragma GCC unroll 8
      for (int i = 0; i < strips; i++) sums[i] += w * load(v + i * kLanes);
    }
#pragma GCC unroll 8
    for (int i = 0; i < strips; i++) store(part + i * kLanes, sums[i]);
  }

  void put_together(int64_t kv, int64_t r, const float* parts) const {
    const int64_t step = rows_ * stride_;
    float highest = -kInfinity, total = 0;
    for (int64_t c = 0; c < chunks_; c++) highest = std::max(highest, parts[c * step + stride_ - 2]);
    float* to = out_ + a_.queryOffset(r / a_.group, kv, r % a_.group);
    std::fill(to, to + a_.headDim, 0.0f);
    for (int64_t c = 0; c < chunks_; c++) {
      const float* part = parts + c * step;
      if (part[stride_ - 1] == 0.0f) continue;  // saw nothing
      const float weight = exp2(splat(part[stride_ - 2] - highest))[0];
      total += part[stride_ - 1] * weight;
      for (int64_t d = 0; d < a_.headDim; d++) to[d] += part[d] * weight;
    }
    for (int64_t d = 0; d < a_.headDim; d++) to[d] = total == 0.0f ? 0.0f : to[d] / total;
  }

  const Attention a_;
  float* const out_;
  const int64_t rows_, stride_, chunks_;  // (query, head of the group); floats of a part; parts per row
  const float factor_;
};

}  // namespace duo::cpu
