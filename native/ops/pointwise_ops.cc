// The small operations of a decoder layer: shapes are checked here, the work is in native/kernels/cpu/pointwise.h.
#include <cstring>

#include "../kernels/cpu/pointwise.h"
#include "op.h"

namespace duo {
namespace {

cpu::Pool& pool() { return cpu::Pool::shared(); }

/// A float whose bits came as int32.
float number(const Tensor& bits, const char* name) {
  require(bits.size() == 1, std::string(name) + " is one number");
  float value;
  std::memcpy(&value, bits.ints(), sizeof value);
  return value;
}

/// Length of the last dimension, which `weight` must have.
int64_t last_of(const Tensor& x, const Tensor& weight) {
  require(!x.dims.empty() && x.dims.back() > 0, "x needs a last dimension");
  require_shape(weight, {x.dims.back()}, "weight");
  return x.dims.back();
}

// Inputs: a, b of a's shape or of its last dimension alone.
void add(Call& call) {
  const Tensor a = call.input(0), b = call.input(1);
  const int64_t n = a.dims.empty() || a.dims.back() == 0 ? 1 : a.dims.back();
  if (a.dims != b.dims) require_shape(b, {n}, "b");
  cpu::add(pool(), a.floats(), b.floats(), call.output(0, a.dims).floats(), a.size() / n, n, a.dims != b.dims);
}

// Inputs: x, weight, eps.
void rms_norm(Call& call) {
  const Tensor x = call.input(0), weight = call.input(1);
  const int64_t n = last_of(x, weight);
  cpu::rms_norm(pool(), x.floats(), weight.floats(), call.output(0, x.dims).floats(), x.size() / n, n, number(call.input(2), "eps"));
}

// Inputs: dy, x, weight, eps.
void rms_norm_backward(Call& call) {
  const Tensor dy = call.input(0), x = call.input(1), weight = call.input(2);
  const int64_t n = last_of(x, weight);
  require_shape(dy, x.dims, "dy");
  cpu::rms_norm_backward(pool(), dy.floats(), x.floats(), weight.floats(), call.output(0, x.dims).floats(), x.size() / n, n, number(call.input(3), "eps"));
}

// Inputs: x (tokens, heads, headDim), cos and sin (tokens, headDim / 2), direction (1, or -1 to rotate back).
void rotate(Call& call) {
  const Tensor x = call.input(0), cos = call.input(1), sin = call.input(2), direction = call.input(3);
  require_rank(x, 3, "x");
  require(x.dims[2] % 2 == 0, "headDim must be even");
  require_shape(cos, {x.dims[0], x.dims[2] / 2}, "cos");
  require_shape(sin, cos.dims, "sin");
  require(direction.size() == 1, "direction is one number");
  cpu::rotate(pool(), x.floats(), cos.floats(), sin.floats(), call.output(0, x.dims).floats(), x.dims[0], x.dims[1], x.dims[2] / 2,
              static_cast<float>(direction.ints()[0]));
}

// Inputs: gate, up.
void swiglu(Call& call) {
  const Tensor gate = call.input(0), up = call.input(1);
  require_shape(up, gate.dims, "up");
  cpu::swiglu(pool(), gate.floats(), up.floats(), call.output(0, gate.dims).floats(), gate.size());
}

// Inputs: dy, gate, up.
void swiglu_backward(Call& call) {
  const Tensor dy = call.input(0), gate = call.input(1), up = call.input(2);
  require_shape(up, gate.dims, "up");
  require_shape(dy, gate.dims, "dy");
  const Tensor dGate = call.output(0, gate.dims), dUp = call.output(1, gate.dims);
  cpu::swiglu_backward(pool(), dy.floats(), gate.floats(), up.floats(), dGate.floats(), dUp.floats(), gate.size());
}

cpu::MixShape mix_shape(const Tensor& full, const Tensor& stream, const Tensor& gates) {
  require_rank(full, 3, "full");
  require_shape(stream, full.dims, "stream");
  require_rank(gates, 1, "gates");
  require(gates.size() > 0 && full.dims[1] % gates.size() == 0, "heads must be a multiple of the gates: " + text(full.dims) + ", " + text(gates.dims));
  return {full.dims[0], gates.size(), full.dims[1] / gates.size() * full.dims[2]};
}

// Inputs: full, stream, gates.
void mix_gates(Call& call) {
  const Tensor full = call.input(0), stream = call.input(1), gates = call.input(2);
  cpu::mix_gates(pool(), full.floats(), stream.floats(), gates.floats(), call.output(0, full.dims).floats(), mix_shape(full, stream, gates));
}

// Inputs: dMix, full, stream, gates.
void mix_gates_backward(Call& call) {
  const Tensor dMix = call.input(0), full = call.input(1), stream = call.input(2), gates = call.input(3);
  const cpu::MixShape shape = mix_shape(full, stream, gates);
  require_shape(dMix, full.dims, "dMix");
  const Tensor dFull = call.output(0, full.dims), dStream = call.output(1, full.dims), dGates = call.output(2, gates.dims);
  cpu::mix_gates_backward(pool(), dMix.floats(), full.floats(), stream.floats(), gates.floats(), dFull.floats(), dStream.floats(), dGates.floats(), shape);
}

}  // namespace

void register_pointwise_ops() {
  register_op<add>({"DuoAdd", {"a: float", "b: float"}, {"sum: float"}});
  register_op<rms_norm>({"DuoRmsNorm", {"x: float", "weight: float", "eps: int32"}, {"y: float"}});
  register_op<rms_norm_backward>({"DuoRmsNormBackward", {"dy: float", "x: float", "weight: float", "eps: int32"}, {"dx: float"}});
  register_op<rotate>({"DuoRotate", {"x: float", "cos: float", "sin: float", "direction: int32"}, {"y: float"}});
  register_op<swiglu>({"DuoSwiglu", {"gate: float", "up: float"}, {"y: float"}});
  register_op<swiglu_backward>({"DuoSwigluBackward", {"dy: float", "gate: float", "up: float"}, {"d_gate: float", "d_up: float"}});
  register_op<mix_gates>({"DuoMixGates", {"full: float", "stream: float", "gates: float"}, {"mix: float"}});
  register_op<mix_gates_backward>({"DuoMixGatesBackward",
                                   {"d_mix: float", "full: float", "stream: float", "gates: float"},
                                   {"d_full: float", "d_stream: float", "d_gates: float"}});
}

}  // namespace duo
