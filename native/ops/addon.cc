// The Node addon: requiring it registers the operations with the TensorFlow in the process. It exports what is set once (threads) and
// what tests look at (counters).
#include <node_api.h>

#include "../kernels/cpu/pool.h"
#include "../kernels/cpu/simd.h"
#include "op.h"

namespace duo {

std::vector<Counter>& counters() {
  static std::vector<Counter> all;
  return all;
}

namespace {

napi_value number(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

/// How often each operation has run, by its name.
napi_value Counters(napi_env env, napi_callback_info) {
  napi_value result;
  napi_create_object(env, &result);
  for (const Counter& counter : counters()) napi_set_named_property(env, result, counter.name, number(env, static_cast<double>(counter.count->load())));
  return result;
}

napi_value SetThreads(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int32_t threads = 0;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  if (count != 1 || napi_get_value_int32(env, argument, &threads) != napi_ok || threads < 1 || threads > 1024)
    return napi_throw_range_error(env, nullptr, "setThreads takes a number from 1 to 1024"), nullptr;
  try {
    cpu::Pool::shared().resize(threads);
  } catch (const std::exception& error) {  // no more threads to be had
    napi_throw_error(env, nullptr, error.what());
  }
  return nullptr;
}

napi_value Threads(napi_env env, napi_callback_info) { return number(env, cpu::Pool::shared().threads()); }

/// The first instruction set this was compiled for that the processor lacks, or null.
const char* missing_instructions() {
#if defined(__x86_64__)
#if defined(__AVX2__)
  if (!__builtin_cpu_supports("avx2")) return "AVX2";
#endif
#if defined(__FMA__)
  if (!__builtin_cpu_supports("fma")) return "FMA";
#endif
#if defined(__AVX512F__)
  if (!__builtin_cpu_supports("avx512f")) return "AVX-512";
#endif
#endif
  return nullptr;
}

void register_once() {
  static const bool registered = (register_attention_ops(), register_matmul_ops(), register_pointwise_ops(), register_row_ops(), true);  // also with worker threads
  (void)registered;
}

napi_value init(napi_env env, napi_value exports) {
  if (const char* missing = missing_instructions()) {
    const std::string what = std::string("compiled for a processor with ") + missing + ", which this one lacks";
    return napi_throw_error(env, nullptr, what.c_str()), nullptr;
  }
  try {
    register_once();
  } catch (const Error& error) {
    return napi_throw_error(env, nullptr, error.what()), nullptr;
  }
  const struct {
    const char* name;
    napi_callback call;
  } functions[] = {{"counters", Counters}, {"setThreads", SetThreads}, {"threads", Threads}};
  for (const auto& f : functions) {
    napi_value value;
    napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.call, nullptr, &value);
    napi_set_named_property(env, exports, f.name, value);
  }
  napi_set_named_property(env, exports, "lanes", number(env, cpu::kLanes));
  return exports;
}

}  // namespace
}  // namespace duo

NAPI_MODULE_INIT() { return duo::init(env, exports); }
