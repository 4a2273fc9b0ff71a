// A thin layer over TensorFlow's kernel C API: an operation is a function that takes a Call.
//
//   void scale(Call& call);
//   register_op<scale>({"DuoScale", {"x: float", "factor: int32"}, {"y: float"}});
//
// Values that change from call to call come as int32 inputs, not as attributes: TensorFlow keeps a kernel per attribute value for ever.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_tensor.h"

namespace duo {

using Dims = std::vector<int64_t>;

/// Becomes a TensorFlow status, and an exception in JavaScript.
struct Error : std::runtime_error {
  TF_Code code;
  Error(TF_Code c, const std::string& text) : std::runtime_error(text), code(c) {}
};

inline void require(bool condition, const std::string& text) {
  if (!condition) throw Error(TF_INVALID_ARGUMENT, text);
}

class Status {
 public:
  Status() : status_(TF_NewStatus(), TF_DeleteStatus) {}
  operator TF_Status*() const { return status_.get(); }
  void check() const {
    if (TF_GetCode(status_.get()) != TF_OK) throw Error(TF_GetCode(status_.get()), TF_Message(status_.get()));
  }

 private:
  std::unique_ptr<TF_Status, decltype(&TF_DeleteStatus)> status_;
};

/// An input or output of the call at hand.
class Tensor {
 public:
  explicit Tensor(TF_Tensor* tensor) : tensor_(tensor, TF_DeleteTensor) {
    for (int i = 0; i < TF_NumDims(tensor); i++) dims.push_back(TF_Dim(tensor, i));
  }
  Dims dims;
  TF_Tensor* get() const { return tensor_.get(); }
  float* floats() const { return static_cast<float*>(TF_TensorData(tensor_.get())); }
  const int32_t* ints() const { return static_cast<const int32_t*>(TF_TensorData(tensor_.get())); }
  int64_t size() const { return TF_TensorElementCount(tensor_.get()); }

 private:
  std::shared_ptr<TF_Tensor> tensor_;
};

inline std::string text(const Dims& dims) {
  std::string s = "(";
  for (size_t i = 0; i < dims.size(); i++) s += (i ? ", " : "") + std::to_string(dims[i]);
  return s + ")";
}
inline void require_rank(const Tensor& x, size_t rank, const char* name) {
  require(x.dims.size() == rank, std::string(name) + " must have " + std::to_string(rank) + " dimensions, not " + text(x.dims));
}
inline void require_shape(const Tensor& x, const Dims& dims, const char* name) {
  require(x.dims == dims, std::string(name) + " must be " + text(dims) + ", not " + text(x.dims));
}

class Call {
 public:
  explicit Call(TF_OpKernelContext* context) : context_(context) {}
  int inputs() const { return TF_NumInputs(context_); }
  Tensor input(int i) const {
    Status status;
    TF_Tensor* tensor = nullptr;
    TF_GetInput(context_, i, &tensor, status);
    status.check();
    return Tensor(tensor);
  }
  Tensor output(int i, const Dims& dims) const {
    size_t bytes = sizeof(float);
    for (int64_t d : dims) bytes *= d;
    Status status;
    TF_Tensor* tensor = TF_AllocateOutput(context_, i, TF_FLOAT, dims.data(), static_cast<int>(dims.size()), bytes, status);
    if (TF_GetCode(status) != TF_OK && tensor) TF_DeleteTensor(tensor);
    status.check();
    return Tensor(tensor);
  }
  /// Makes `x`, an input, output i: a new handle to the same memory.
  void forward(int i, const Tensor& x) const {
    Status status;
    TF_SetOutput(context_, i, x.get(), status);
    status.check();
  }

 private:
  TF_OpKernelContext* context_;
};

struct OpDefinition {
  const char* name;
  std::vector<const char*> inputs, outputs, attributes = {};
};

/// How often each operation has run, by which tests know that nothing fell back.
struct Counter {
  const char* name;
  std::atomic<int64_t>* count;
};
std::vector<Counter>& counters();

template <void (*run)(Call&)>
std::atomic<int64_t> calls{0};

template <void (*run)(Call&)>
void compute(void*, TF_OpKernelContext* context) {
  const auto fail = [&](TF_Code code, const char* what) {
    Status status;
    TF_SetStatus(status, code, what);
    TF_OpKernelContext_Failure(context, status);
  };
  try {
    Call call(context);
    run(call);
    calls<run>++;
  } catch (const Error& error) {
    fail(error.code, error.what());
  } catch (const std::bad_alloc&) {
    fail(TF_RESOURCE_EXHAUSTED, "out of memory");
  }
}

template <void (*run)(Call&)>
void register_op(const OpDefinition& op) {
  Status status;
  TF_OpDefinitionBuilder* definition = TF_NewOpDefinitionBuilder(op.name);
  for (const char* attribute : op.attributes) TF_OpDefinitionBuilderAddAttr(definition, attribute);
  for (const char* input : op.inputs) TF_OpDefinitionBuilderAddInput(definition, input);
  for (const char* output : op.outputs) TF_OpDefinitionBuilderAddOutput(definition, output);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(definition, [](TF_ShapeInferenceContext* context, TF_Status* to) {
    TF_ShapeInferenceContextSetUnknownShape(context, to);  // eager execution takes the real shapes
  });
  TF_RegisterOpDefinition(definition, status);
  status.check();
  TF_KernelBuilder* kernel = TF_NewKernelBuilder(op.name, "CPU", nullptr, compute<run>, nullptr);
  TF_RegisterKernelBuilder(op.name, kernel, status);
  status.check();
  counters().push_back({op.name, &calls<run>});
}

void register_attention_ops();
void register_matmul_ops();
void register_pointwise_ops();
void register_row_ops();

}  // namespace duo
