// Which keys a query sees, and what that means for a whole tile of scores: all, none, or some (then a mask is computed).
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "tile.h"

namespace duo::cpu {

/// A streaming head's window, as windowSees in src/device/device.ts defines it; `block` 0: no window, every key up to the query.
/// `reach`: keys are seen by fewer than this many positions after them, sinks too; 0: no limit.
struct Window {
  int32_t sink = 0, recent = 0, block = 0, reach = 0;
};

/// A key at position p is seen iff p < end and (floor <= p < sink or p >= start).
struct Limits {
  int32_t end, sink, start, floor;
};

inline Limits limits_of(const Window& w, int32_t query) {
  const int64_t end = static_cast<int64_t>(query) + 1;
  if (w.block == 0) return {static_cast<int32_t>(end), 0, 0, 0};
  const int64_t sink = ceil_div(w.sink, w.block) * w.block;
  const int64_t start = (query / w.block - ceil_div(w.recent, w.block) + 1) * w.block;
  const int64_t floor = w.reach == 0 ? 0 : std::max<int64_t>(0, end - w.reach);
  return {static_cast<int32_t>(end), static_cast<int32_t>(std::min(sink, end)), static_cast<int32_t>(std::clamp(start, floor, end)),
          static_cast<int32_t>(floor)};
}

/// Positions of the keys, padded to whole panels with positions that no query sees, and their range panel by panel.
struct KeyPositions {
  std::vector<int32_t> position, lowest, highest;  // the last two per panel
  bool inOrder;                                    // key n is at position n

  /// `given` null: the keys are in order.
  KeyPositions(const int32_t* given, int64_t keys) : inOrder(!given) {
    const int64_t panels = ceil_div(keys, kColumns);
    position.assign(panels * kColumns, std::numeric_limits<int32_t>::max());
    for (int64_t n = 0; n < keys; n++) position[n] = given ? given[n] : static_cast<int32_t>(n);
    for (int64_t p = 0; p < panels; p++) {
      const auto [low, high] = std::minmax_element(position.begin() + p * kColumns, position.begin() + (p + 1) * kColumns);
      lowest.push_back(*low), highest.push_back(*high);
    }
  }
  int64_t panels() const { return static_cast<int64_t>(lowest.size()); }
};

enum class Seen { none, some, all };

/// The limits of kRows queries, or of a whole block of them, as ranges.
class LimitRange {
 public:
  Limits low{kMost, kMost, kMost, kMost};
  Limits high{0, 0, 0, 0};

  void add(const Limits& l) {
    low = {std::min(low.end, l.end), std::min(low.sink, l.sink), std::min(low.start, l.start), std::min(low.floor, l.floor)};
    high = {std::max(high.end, l.end), std::max(high.sink, l.sink), std::max(high.start, l.start), std::max(high.floor, l.floor)};
  }
  /// How much of keys at positions lowest..highest these queries see. `some` is always a safe answer.
  Seen of(int32_t lowest, int32_t highest) const {
    if (lowest >= high.end || ((lowest >= high.sink || highest < low.floor) && highest < low.start)) return Seen::none;
    if (highest < low.end && ((highest < low.sink && lowest >= high.floor) || lowest >= high.start)) return Seen::all;
    return Seen::some;
  }

 private:
  static constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
};

/// Calls body(first, end) for those blocks of `step` panels that hold a key which queries within `range` may see.
template <class Body>
void for_seen_blocks(const KeyPositions& keys, const LimitRange& range, int64_t step, const Body& body) {
  const int64_t first = keys.inOrder ? range.low.floor / kColumns / step * step : 0;
  for (int64_t p = first; p < keys.panels(); p += step) {
    if (keys.inOrder && p * kColumns >= range.high.sink)  // straight to the recent keys, so that a window's cost does not grow with the context
      p = std::max(p, range.low.start / kColumns / step * step);
    if (keys.inOrder && p * kColumns >= range.high.end) return;
    const int64_t end = std::min(keys.panels(), p + step);
    for (int64_t n = p; n < end; n++)
      if (range.of(keys.lowest[n], keys.highest[n]) != Seen::none) {
        body(p, end);
        break;
      }
  }
}

/// All bits set where a query with these limits sees the key.
DUO_INLINE IntVec sees(const Limits& l, IntVec position) {
  return (position < l.end) & (((position < l.sink) & (position >= l.floor)) | (position >= l.start));
}

}  // namespace duo::cpu
