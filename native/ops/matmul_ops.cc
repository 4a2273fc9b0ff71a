// DuoMatmul and DuoMatmulBackward: shapes are checked here, the work is in native/kernels/cpu/matmul.h.
#include "../kernels/cpu/matmul.h"

#include "op.h"

namespace duo {
namespace {

// Inputs: x (rows, in), weight (out, in). x times the transpose of weight, (rows, out).
void matmul(Call& call) {
  const Tensor x = call.input(0), weight = call.input(1);
  require_rank(x, 2, "x");
  require_rank(weight, 2, "weight");
  require_shape(x, {x.dims[0], weight.dims[1]}, "x");
  const Tensor y = call.output(0, {x.dims[0], weight.dims[0]});
  cpu::Matmul(x.floats(), weight.floats(), y.floats(), x.dims[0], weight.dims[0], weight.dims[1], cpu::Weight::transposed).run(cpu::Pool::shared());
}

// Inputs: dy (rows, out), weight (out, in). dy times weight, (rows, in).
void matmul_backward(Call& call) {
  const Tensor dy = call.input(0), weight = call.input(1);
  require_rank(dy, 2, "dy");
  require_rank(weight, 2, "weight");
  require_shape(dy, {dy.dims[0], weight.dims[0]}, "dy");
  const Tensor dx = call.output(0, {dy.dims[0], weight.dims[1]});
  cpu::Matmul(dy.floats(), weight.floats(), dx.floats(), dy.dims[0], weight.dims[1], weight.dims[0], cpu::Weight::asStored).run(cpu::Pool::shared());
}

}  // namespace

void register_matmul_ops() {
  register_op<matmul>({"DuoMatmul", {"x: float", "weight: float"}, {"y: float"}});
  register_op<matmul_backward>({"DuoMatmulBackward", {"dy: float", "weight: float"}, {"dx: float"}});
}

}  // namespace duo
