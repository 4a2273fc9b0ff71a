// DuoAttention, DuoAttentionBackward and DuoHybridAttention: shapes are checked here, the work is in native/kernels/cpu.
#include "../kernels/cpu/attention_backward.h"
#include "../kernels/cpu/attention_decode.h"
#include "../kernels/cpu/attention_forward.h"
#include "op.h"

namespace duo {
namespace {

/// Numbers of a window: sink, recent, block, reach; block 0 means no window, reach 0 no limit.
constexpr int kWindow = 4;

cpu::Window window_at(const int32_t* values) {
  require(values[0] >= 0 && values[2] >= 0 && values[3] >= 0, "sink, block and reach must not be negative");
  require(values[2] == 0 || values[1] >= 1, "a window must hold the current token");
  return {values[0], values[1], values[2], values[3]};
}

/// q (queries, heads, headDim), k and v (keys, kvHeads, headDim).
cpu::Attention attention_of(const Tensor& q, const Tensor& k, const Tensor& v) {
  require_rank(q, 3, "q");
  require_rank(k, 3, "k");
  require_shape(v, k.dims, "v");
  const int64_t heads = q.dims[1], kvHeads = k.dims[1], headDim = q.dims[2];
  require(k.dims[2] == headDim && headDim > 0, "q and k differ in headDim: " + text(q.dims) + ", " + text(k.dims));
  require(kvHeads > 0 && heads > 0 && heads % kvHeads == 0, "heads must be a multiple of kvHeads: " + text(q.dims) + ", " + text(k.dims));
  cpu::Attention a;
  a.q = q.floats(), a.k = k.floats(), a.v = v.floats();
  a.queries = q.dims[0], a.keys = k.dims[0], a.heads = heads, a.kvHeads = kvHeads, a.headDim = headDim, a.group = heads / kvHeads;
  return a;
}

/// `positions` of no elements: query n is at position n.
void place_queries(cpu::Attention& a, const Tensor& positions) {
  if (positions.size() == 0) return require(a.queries == a.keys, "without positions there must be as many queries as keys");
  require_shape(positions, {a.queries}, "queryPositions");
  a.queryPositions = positions.ints();
  for (int64_t n = 0; n < a.queries; n++)
    require(a.queryPositions[n] >= (n ? a.queryPositions[n - 1] : 0) && a.queryPositions[n] < a.keys, "queryPositions must ascend within the keys");
}

// Inputs: q, k, v, queryPositions, window.
void attention(Call& call) {
  const Tensor q = call.input(0), k = call.input(1), v = call.input(2), positions = call.input(3), window = call.input(4);
  require_shape(window, {kWindow}, "window");
  cpu::Attention a = attention_of(q, k, v);
  a.window = window_at(window.ints());
  place_queries(a, positions);
  const Tensor out = call.output(0, q.dims), lse = call.output(1, {a.queries, a.heads});
  cpu::AttentionForward(a, out.floats(), lse.floats()).run(cpu::Pool::shared());
}

// Inputs: dOut, q, k, v, out, lse, queryPositions, window.
void attention_backward(Call& call) {
  const Tensor dOut = call.input(0), q = call.input(1), k = call.input(2), v = call.input(3), out = call.input(4), lse = call.input(5);
  const Tensor positions = call.input(6), window = call.input(7);
  require_shape(window, {kWindow}, "window");
  cpu::Attention a = attention_of(q, k, v);
  require_shape(dOut, q.dims, "dOut");
  require_shape(out, q.dims, "out");
  require_shape(lse, {a.queries, a.heads}, "lse");
  a.window = window_at(window.ints());
  place_queries(a, positions);
  const Tensor dq = call.output(0, q.dims), dk = call.output(1, k.dims), dv = call.output(2, k.dims);
  cpu::AttentionBackward(a, dOut.floats(), out.floats(), lse.floats(), {dq.floats(), dk.floats(), dv.floats()}).run(cpu::Pool::shared());
}

/// One group of a hybrid cache. `settings`: keyCount, then its window.
void attend_group(cpu::Attention a, const Tensor& positions, const Tensor& kvHeads, const int32_t* settings, float* out) {
  require(settings[0] >= 0 && settings[0] <= a.keys, "keyCount must be at most the rows of k");
  require_shape(kvHeads, {a.kvHeads}, "kvHeads");
  require(positions.size() == 0 || positions.size() >= settings[0], "every key needs a position");
  a.keys = settings[0];
  a.window = window_at(settings + 1);
  a.kvHeadNumbers = kvHeads.ints();
  if (positions.size() > 0) a.keyPositions = positions.ints();
  for (int64_t n = 0; n < a.kvHeads; n++) require(a.kvHeadNumbers[n] >= 0 && a.headOf(n) + a.group <= a.heads, "a KV head's number is past the last");
  if (a.queries <= cpu::kDecodeQueries) cpu::AttentionDecode(a, out).run(cpu::Pool::shared());
  else cpu::AttentionForward(a, out, nullptr).run(cpu::Pool::shared());
}

// Inputs: q; settings = queryStart, then keyCount and the window of each group; then per group k, v, key positions (none: a row's
// position is its number) and the numbers of its KV heads.
void hybrid_attention(Call& call) {
  const Tensor q = call.input(0), settings = call.input(1);
  const int groups = (call.inputs() - 2) / 4;
  require_rank(q, 3, "q");
  require_shape(settings, {1 + (1 + kWindow) * groups}, "settings");
  const Tensor out = call.output(0, q.dims);
  int64_t kvHeads = 0;
  for (int n = 0; n < groups; n++) kvHeads += call.input(2 + 3 * groups + n).size();
  require(kvHeads > 0 && q.dims[1] % kvHeads == 0, "heads must be a multiple of the groups' KV heads");
  for (int n = 0; n < groups; n++) {
    const Tensor k = call.input(2 + n), v = call.input(2 + groups + n), positions = call.input(2 + 2 * groups + n), numbers = call.input(2 + 3 * groups + n);
    require_rank(k, 3, "k");
    require_shape(v, k.dims, "v");
    require(k.dims[2] == q.dims[2], "q and k differ in headDim: " + text(q.dims) + ", " + text(k.dims));
    cpu::Attention a;
    a.q = q.floats(), a.k = k.floats(), a.v = v.floats();
    a.queries = q.dims[0], a.heads = q.dims[1], a.headDim = q.dims[2], a.group = q.dims[1] / kvHeads;
    a.keys = k.dims[0], a.kvHeads = k.dims[1], a.queryStart = settings.ints()[0];
    attend_group(a, positions, numbers, settings.ints() + 1 + (1 + kWindow) * n, out.floats());
  }
}

}  // namespace

void register_attention_ops() {
  register_op<attention>({"DuoAttention", {"q: float", "k: float", "v: float", "query_positions: int32", "window: int32"}, {"out: float", "lse: float"}});
  register_op<attention_backward>(
      {"DuoAttentionBackward",
       {"d_out: float", "q: float", "k: float", "v: float", "out: float", "lse: float", "query_positions: int32", "window: int32"},
       {"dq: float", "dk: float", "dv: float"}});
  register_op<hybrid_attention>({"DuoHybridAttention",
                                 {"q: float", "settings: int32", "k: N * float", "v: N * float", "positions: N * int32", "kv_heads: N * int32"},
                                 {"out: float"},
                                 {"N: int >= 1"}});
}

}  // namespace duo
