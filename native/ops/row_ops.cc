// Rows and heads moved about: DuoWriteRows in place, DuoGatherRows and DuoGatherHeads as copies.
#include <cstring>

#include "op.h"

namespace duo {
namespace {

// Inputs: buffer (capacity, ...), rows (t, ...), start. The output is the buffer itself under a new handle; the old handle must not be
// read again, since TensorFlow may have kept a copy of its former values.
void write_rows(Call& call) {
  const Tensor buffer = call.input(0), rows = call.input(1), start = call.input(2);
  require(!rows.dims.empty() && !buffer.dims.empty() && start.size() == 1, "buffer and rows need rows, and start is one number");
  Dims wanted = buffer.dims;
  wanted[0] = rows.dims[0];
  require_shape(rows, wanted, "rows");
  const int64_t first = start.ints()[0];
  require(first >= 0 && first + rows.dims[0] <= buffer.dims[0], "rows " + std::to_string(first) + ".. of " + text(rows.dims) + " do not fit into " + text(buffer.dims));
  if (rows.size() > 0) std::memcpy(buffer.floats() + first * (rows.size() / rows.dims[0]), rows.floats(), sizeof(float) * rows.size());
  call.forward(0, buffer);
}

// Inputs: x (rows, ...), indices. Rows `indices` of x.
void gather_rows(Call& call) {
  const Tensor x = call.input(0), indices = call.input(1);
  require(!x.dims.empty(), "x needs rows");
  Dims dims = x.dims;
  dims[0] = indices.size();
  const Tensor y = call.output(0, dims);
  const int64_t width = x.dims[0] == 0 ? 0 : x.size() / x.dims[0];
  for (int64_t n = 0; n < indices.size(); n++) {
    const int32_t row = indices.ints()[n];
    require(row >= 0 && row < x.dims[0], "row " + std::to_string(row) + " is outside " + text(x.dims));
    std::memcpy(y.floats() + n * width, x.floats() + row * width, sizeof(float) * width);
  }
}

// Inputs: x (tokens, n, headDim), heads. Columns `heads` of x.
void gather_heads(Call& call) {
  const Tensor x = call.input(0), heads = call.input(1);
  require_rank(x, 3, "x");
  const int64_t count = heads.size(), headDim = x.dims[2];
  const Tensor y = call.output(0, {x.dims[0], count, headDim});
  for (int64_t n = 0; n < count; n++) {
    const int32_t head = heads.ints()[n];
    require(head >= 0 && head < x.dims[1], "head " + std::to_string(head) + " is outside " + text(x.dims));
    for (int64_t token = 0; token < x.dims[0]; token++)
      std::memcpy(y.floats() + (token * count + n) * headDim, x.floats() + (token * x.dims[1] + head) * headDim, sizeof(float) * headDim);
  }
}

}  // namespace

void register_row_ops() {
  register_op<write_rows>({"DuoWriteRows", {"buffer: float", "rows: float", "start: int32"}, {"written: float"}});
  register_op<gather_rows>({"DuoGatherRows", {"x: float", "indices: int32"}, {"rows: float"}});
  register_op<gather_heads>({"DuoGatherHeads", {"x: float", "heads: int32"}, {"columns: float"}});
}

}  // namespace duo
