// Vectors of floats through the compiler's vector extension: one source for AVX2, AVX-512, SSE and NEON, with no intrinsics.
// Compiled for the machine it runs on (-march=native); a multiplication and an addition contract to one rounding where it has FMA.
#pragma once
#include <cstdint>
#include <limits>
#include <utility>

namespace duo::cpu {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

#define DUO_INLINE inline __attribute__((always_inline))

typedef float Vec __attribute__((vector_size(4 * kLanes)));
typedef int32_t IntVec __attribute__((vector_size(4 * kLanes)));
typedef uint32_t BitsVec __attribute__((vector_size(4 * kLanes)));
typedef float UnalignedVec __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef int32_t UnalignedIntVec __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLog2E = 1.44269504088896340736f;
constexpr float kLn2 = 0.69314718055994530942f;

DUO_INLINE Vec load(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
DUO_INLINE void store(float* p, Vec x) { *reinterpret_cast<UnalignedVec*>(p) = x; }
DUO_INLINE IntVec load(const int32_t* p) { return *reinterpret_cast<const UnalignedIntVec*>(p); }
DUO_INLINE Vec splat(float x) { return x - Vec{}; }  // x - 0 keeps the sign of zero, so it is a plain broadcast
DUO_INLINE IntVec splat(int32_t x) { return x - IntVec{}; }
/// NaN in b wins, NaN in a is dropped (as vmaxps has it); exp2 of the difference brings it back.
DUO_INLINE Vec max(Vec a, Vec b) { return a > b ? a : b; }

/// Lanes of a (0..kLanes-1) and b (kLanes..) by number.
template <int... lane>
DUO_INLINE Vec pick(Vec a, Vec b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, lane...);
#else
  return __builtin_shuffle(a, b, IntVec{lane...});
#endif
}
/// Lane i of the result is lane i ^ distance of x.
template <int distance, int... lane>
DUO_INLINE Vec swap_lanes(Vec x, std::integer_sequence<int, lane...>) {
  return pick<(lane ^ distance)...>(x, x);
}
/// All lanes joined two by two with `join`, in an order that depends on kLanes alone.
template <int distance, class Join>
DUO_INLINE float fold(Vec x, Join join) {
  if constexpr (distance == 0) return x[0];
  else return fold<distance / 2>(join(x, swap_lanes<distance>(x, std::make_integer_sequence<int, kLanes>{})), join);
}
DUO_INLINE float sum(Vec x) {
  return fold<kLanes / 2>(x, [](Vec a, Vec b) { return a + b; });
}
DUO_INLINE float max(Vec x) {
  return fold<kLanes / 2>(x, [](Vec a, Vec b) { return max(a, b); });
}

/// 2^x for x < 128, relative error below 1e-7. Below 2^-126 it is exactly 0 (so exp2(-inf) = 0), exp2(0) is exactly 1, NaN stays NaN.
DUO_INLINE Vec exp2(Vec x) {
  const Vec magic = splat(12582912.0f);  // 1.5 * 2^23: adding it leaves round(x) in the low bits
  const Vec shifted = x + magic;
  const Vec f = x - (shifted - magic);  // in [-0.5, 0.5]
  Vec p = splat(1.534581242594868e-4f);  // the polynomial of degree 6 with the smallest relative error on that interval
  p = p * f + 1.3399930903688073e-3f;
  p = p * f + 9.618489071726799e-3f;
  p = p * f + 5.550328642129898e-2f;
  p = p * f + 0.24022646248340607f;
  p = p * f + 0.6931471824645996f;
  p = p * f + 1.0f;
  const BitsVec exponent = reinterpret_cast<BitsVec>(shifted) << 23;
  const Vec scaled = reinterpret_cast<Vec>(reinterpret_cast<BitsVec>(p) + exponent);
  return x < -126.0f ? Vec{} : scaled;
}

}  // namespace duo::cpu
