// DuoWriteRows: rows into a buffer, in place.
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

}  // namespace

void register_row_ops() { register_op<write_rows>({"DuoWriteRows", {"buffer: float", "rows: float", "start: int32"}, {"written: float"}}); }

}  // namespace duo
