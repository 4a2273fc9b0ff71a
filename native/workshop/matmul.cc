// Workshop of the products and of the small operations: float64 references, checks over many shapes, and timings.
//
//   g++ -std=c++17 -O3 -march=native -pthread native/workshop/matmul.cc -o matmul && ./matmul [threads]
//   g++ -std=c++17 -O1 -g -march=native -fsanitize=address,undefined -pthread native/workshop/matmul.cc -o matmul && ./matmul check
#include "../kernels/cpu/matmul.h"

#include <cmath>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "../kernels/cpu/pointwise.h"
#include "measure.h"

using namespace duo::cpu;

namespace {

using Floats = std::vector<float>;

std::mt19937 random_bits(1);

Floats normals(int64_t count) {
  std::normal_distribution<float> normal(0, 1);
  Floats x(count);
  for (float& value : x) value = normal(random_bits);
  return x;
}
int64_t between(int64_t low, int64_t high) { return low + static_cast<int64_t>(random_bits() % (high - low + 1)); }

/// found(i) against wanted(i), within what rounding of sums of `length` terms explains.
bool close(const std::string& what, const Floats& found, int64_t length, const std::function<double(int64_t)>& wanted) {
  for (size_t i = 0; i < found.size(); i++) {
    const double expected = wanted(static_cast<int64_t>(i)), tolerance = 4e-7 * std::sqrt(static_cast<double>(length)) * (4 + std::abs(expected));
    if (!(std::abs(found[i] - expected) <= tolerance)) return printf("WRONG: %s: %g at %zu, not %g\n", what.c_str(), found[i], i, expected), false;
  }
  return true;
}

bool check_matmul() {
  const int64_t rows = between(1, 130), out = between(1, 150), depth = between(1, 20) == 1 ? between(500, 1100) : between(1, 200);
  const Floats x = normals(rows * depth), w = normals(out * depth);
  Floats across(rows * out, NAN), stored(rows * out, NAN);
  Matmul(x.data(), w.data(), across.data(), rows, out, depth, Weight::transposed).run(Pool::shared());
  Matmul(x.data(), w.data(), stored.data(), rows, out, depth, Weight::asStored).run(Pool::shared());
  const std::string shape = std::to_string(rows) + " x " + std::to_string(depth) + " x " + std::to_string(out);
  const auto product = [&](int64_t i, int64_t outStride, int64_t depthStride) {
    double total = 0;
    for (int64_t k = 0; k < depth; k++) total += double(x[i / out * depth + k]) * w[i % out * outStride + k * depthStride];
    return total;
  };
  return close("matmul " + shape, across, depth, [&](int64_t i) { return product(i, depth, 1); }) &
         close("backward " + shape, stored, depth, [&](int64_t i) { return product(i, 1, out); });
}

bool check_norm() {
  const int64_t rows = between(1, 40), n = between(1, 90);
  const Floats x = normals(rows * n), dy = normals(rows * n), weight = normals(n);
  Floats y(rows * n, NAN), dx(rows * n, NAN);
  rms_norm(Pool::shared(), x.data(), weight.data(), y.data(), rows, n, 1e-3f);
  rms_norm_backward(Pool::shared(), dy.data(), x.data(), weight.data(), dx.data(), rows, n, 1e-3f);
  const auto over_row = [&](int64_t i, const std::function<double(int64_t)>& term) {
    double total = 0;
    for (int64_t k = i / n * n; k < i / n * n + n; k++) total += term(k);
    return total;
  };
  const auto inverse = [&](int64_t i) { return 1 / std::sqrt(over_row(i, [&](int64_t k) { return double(x[k]) * x[k]; }) / n + 1e-3); };
  return close("rms_norm", y, n, [&](int64_t i) { return x[i] * inverse(i) * weight[i % n]; }) &
         close("rms_norm_backward", dx, n * 100, [&](int64_t i) {
           const double r = inverse(i), along = over_row(i, [&](int64_t k) { return double(dy[k]) * weight[k % n] * x[k]; }) * r * r / n;
           return r * (double(dy[i]) * weight[i % n] - x[i] * along);
         });
}

bool check_swiglu() {
  const int64_t count = between(1, 40000);
  Floats gate = normals(count), y(count, NAN), dGate(count, NAN), dUp(count, NAN);
  const Floats up = normals(count), dy = normals(count);
  for (float& g : gate) g *= random_bits() % 50 == 0 ? 60.0f : 3.0f;
  swiglu(Pool::shared(), gate.data(), up.data(), y.data(), count);
  swiglu_backward(Pool::shared(), dy.data(), gate.data(), up.data(), dGate.data(), dUp.data(), count);
  const auto s = [&](int64_t i) { return 1 / (1 + std::exp(-double(gate[i]))); };
  return close("swiglu", y, 16, [&](int64_t i) { return gate[i] * s(i) * up[i]; }) &
         close("swiglu_backward, up", dUp, 16, [&](int64_t i) { return dy[i] * gate[i] * s(i); }) &
         close("swiglu_backward, gate", dGate, 16, [&](int64_t i) { return double(dy[i]) * up[i] * s(i) * (1 + gate[i] * (1 - s(i))); });
}

bool check_mix() {
  const MixShape shape{between(1, 50), between(1, 5), between(1, 70)};
  const int64_t count = shape.tokens * shape.kvHeads * shape.width;
  const Floats full = normals(count), stream = normals(count), d = normals(count);
  Floats gates = normals(shape.kvHeads), mix(count, NAN), dFull(count, NAN), dStream(count, NAN), dGates(shape.kvHeads, NAN);
  gates[0] = static_cast<float>(random_bits() % 2);
  mix_gates(Pool::shared(), full.data(), stream.data(), gates.data(), mix.data(), shape);
  mix_gates_backward(Pool::shared(), d.data(), full.data(), stream.data(), gates.data(), dFull.data(), dStream.data(), dGates.data(), shape);
  const auto gate = [&](int64_t i) { return double(gates[i / shape.width % shape.kvHeads]); };
  return close("mix_gates", mix, 2, [&](int64_t i) { return gate(i) * full[i] + (1 - gate(i)) * stream[i]; }) &
         close("mix_gates_backward, full", dFull, 2, [&](int64_t i) { return gate(i) * d[i]; }) &
         close("mix_gates_backward, stream", dStream, 2, [&](int64_t i) { return (1 - gate(i)) * d[i]; }) &
         close("mix_gates_backward, gates", dGates, 100 * shape.tokens * shape.width, [&](int64_t h) {
           double total = 0;
           for (int64_t i = 0; i < count; i++)
             if (i / shape.width % shape.kvHeads == h) total += double(d[i]) * (double(full[i]) - stream[i]);
           return total;
         });
}

bool check_rotate() {
  const int64_t tokens = between(1, 30), heads = between(1, 5), half = between(1, 70);
  const Floats x = normals(tokens * heads * 2 * half), angle = normals(tokens * half);
  Floats cos(angle.size()), sin(angle.size()), turned(x.size(), NAN), back(x.size(), NAN);
  for (size_t i = 0; i < angle.size(); i++) cos[i] = std::cos(angle[i]), sin[i] = std::sin(angle[i]);
  rotate(Pool::shared(), x.data(), cos.data(), sin.data(), turned.data(), tokens, heads, half, 1);
  rotate(Pool::shared(), turned.data(), cos.data(), sin.data(), back.data(), tokens, heads, half, -1);
  return close("rotate", turned, 4, [&](int64_t i) {
           const int64_t d = i % (2 * half), at = i / (heads * 2 * half) * half + d % half;
           return d < half ? double(x[i]) * cos[at] - double(x[i + half]) * sin[at] : double(x[i]) * cos[at] + double(x[i - half]) * sin[at];
         }) &
         close("rotate back", back, 16, [&](int64_t i) { return x[i]; });
}

int check_all(int count) {
  int wrong = 0;
  for (int n = 0; n < count; n++) {
    Pool::shared().resize(1 + n % 3);
    wrong += !(check_matmul() & check_norm() & check_swiglu() & check_mix() & check_rotate());
  }
  printf("%d of %d rounds wrong\n", wrong, count);
  return wrong != 0;
}

void time_matmul(int64_t rows, int64_t out, int64_t depth, double top) {
  const Floats x = normals(rows * depth), w = normals(out * depth);
  Floats y(rows * out);
  printf("%5ld x %4ld x %4ld", rows, depth, out);
  for (const Weight weight : {Weight::transposed, Weight::asStored})
    print_rate(2.0 * rows * out * depth, measure([&] { Matmul(x.data(), w.data(), y.data(), rows, out, depth, weight).run(Pool::shared()); }), top);
  printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "check") return check_all(argc > 2 ? std::stoi(argv[2]) : 60);
  const int threads = argc > 1 ? std::stoi(argv[1]) : 2;
  if (check_all(100)) return 1;
  Pool::shared().resize(threads);
  const double top = peak_rate();
  printf("%.1f GFLOP/s peak per thread, %d threads; x W^T, x W: time and rate, share of the peak per processor second\n", top * 1e-9, threads);
  for (const int64_t rows : {1024, 150, 8, 1}) time_matmul(rows, 512, 256, top), time_matmul(rows, 256, 512, top);
  time_matmul(512, 1536, 576, top);
  return 0;
}
