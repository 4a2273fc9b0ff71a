// Workshop of the CPU attention kernels: a plain reference in float64, checks over many shapes, and timings.
//
//   g++ -std=c++17 -O3 -march=native -pthread native/workshop/attention.cc -o attention && ./attention [threads]
//   g++ -std=c++17 -O1 -g -march=native -fsanitize=address,undefined -pthread native/workshop/attention.cc -o attention && ./attention check
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "../kernels/cpu/attention_backward.h"
#include "../kernels/cpu/attention_decode.h"
#include "../kernels/cpu/attention_forward.h"
#include "measure.h"

using namespace duo::cpu;

namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

struct Case {
  int64_t queries, keys, kvHeads, group, headDim;
  Window window;
  bool scattered;       // queries at some of the positions only
  bool shuffled;        // keys in another order, as in a ring
};

struct Inputs {
  Floats q, k, v, dOut;
  std::vector<int32_t> queryPositions, keyPositions;
  Attention a;
};

Floats normals(std::mt19937& random, int64_t count, float spread = 1) {
  std::normal_distribution<float> normal(0, spread);
  Floats x(count);
  for (float& value : x) value = normal(random);
  return x;
}

Inputs make(const Case& c, std::mt19937& random) {
  Inputs in;
  const int64_t heads = c.kvHeads * c.group;
  in.q = normals(random, c.queries * heads * c.headDim, 1.5f);
  in.k = normals(random, c.keys * c.kvHeads * c.headDim, 1.5f);
  in.v = normals(random, c.keys * c.kvHeads * c.headDim);
  in.dOut = normals(random, c.queries * heads * c.headDim);
  for (int64_t row = 0; row < c.queries * heads; row++)  // a third of the rows have no gradient
    if (random() % 3 == 0) std::fill_n(in.dOut.begin() + row * c.headDim, c.headDim, 0.0f);
  in.a.q = in.q.data(), in.a.k = in.k.data(), in.a.v = in.v.data();
  in.a.queries = c.queries, in.a.keys = c.keys, in.a.heads = heads, in.a.kvHeads = c.kvHeads, in.a.headDim = c.headDim, in.a.group = c.group;
  in.a.window = c.window;
  in.a.queryStart = static_cast<int32_t>(c.keys - c.queries);
  if (c.scattered) {
    for (int64_t n = 0; n < c.queries; n++) in.queryPositions.push_back(static_cast<int32_t>(random() % c.keys));
    std::sort(in.queryPositions.begin(), in.queryPositions.end());
    in.a.queryPositions = in.queryPositions.data();
  }
  if (c.shuffled) {
    for (int64_t n = 0; n < c.keys; n++) in.keyPositions.push_back(static_cast<int32_t>(n));
    std::shuffle(in.keyPositions.begin(), in.keyPositions.end(), random);
    in.a.keyPositions = in.keyPositions.data();
  }
  return in;
}

bool window_sees(const Window& w, int64_t query, int64_t key) {
  if (key > query || (w.reach > 0 && query - key >= w.reach)) return false;
  if (w.block == 0 || key < ceil_div(w.sink, w.block) * w.block) return true;
  return key / w.block > query / w.block - ceil_div(w.recent, w.block);
}

struct Results {
  Doubles out, lse, dq, dk, dv;
};

Results reference(const Inputs& in) {
  const Attention& a = in.a;
  const int64_t D = a.headDim;
  Results r{Doubles(in.q.size()), Doubles(a.queries * a.heads), Doubles(in.q.size()), Doubles(in.k.size()), Doubles(in.k.size())};
  Doubles p(a.keys);
  for (int64_t query = 0; query < a.queries; query++)
    for (int64_t head = 0; head < a.heads; head++) {
      const float *q = &in.q[(query * a.heads + head) * D], *dOut = &in.dOut[(query * a.heads + head) * D];
      const double scale = 1 / std::sqrt(double(D));
      double *out = &r.out[(query * a.heads + head) * D], *dq = &r.dq[(query * a.heads + head) * D], highest = -INFINITY, total = 0, delta = 0;
      const auto row = [&](int64_t key) { return (key * a.kvHeads + head / a.group) * D; };
      for (int64_t key = 0; key < a.keys; key++) {
        double score = 0;
        for (int64_t d = 0; d < D; d++) score += double(q[d]) * in.k[row(key) + d];
        const int64_t at = a.keyPositions ? a.keyPositions[key] : key;
        p[key] = window_sees(a.window, a.position(query), at) ? score * scale : -INFINITY;
        highest = std::max(highest, p[key]);
      }
      for (double& x : p) x = highest == -INFINITY ? 0 : std::exp(x - highest), total += x;
      r.lse[query * a.heads + head] = highest + std::log(total);
      for (int64_t key = 0; key < a.keys && total > 0; key++)
        for (int64_t d = 0; d < D; d++) out[d] += p[key] / total * in.v[row(key) + d];
      for (int64_t d = 0; d < D; d++) delta += out[d] * dOut[d];
      for (int64_t key = 0; key < a.keys && total > 0; key++) {
        double dp = 0;
        for (int64_t d = 0; d < D; d++) dp += double(dOut[d]) * in.v[row(key) + d];
        const double weight = p[key] / total, ds = weight * (dp - delta) * scale;
        for (int64_t d = 0; d < D; d++) dq[d] += ds * in.k[row(key) + d], r.dk[row(key) + d] += ds * q[d], r.dv[row(key) + d] += weight * dOut[d];
      }
    }
  return r;
}

struct Found {
  Floats out, lse, dq, dk, dv;
  explicit Found(const Inputs& in) : out(in.q.size(), NAN), lse(in.a.queries * in.a.heads, NAN), dq(in.q.size(), NAN), dk(in.k.size(), NAN), dv(in.k.size(), NAN) {}
};

void forward(const Inputs& in, Found& f) { AttentionForward(in.a, f.out.data(), f.lse.data()).run(Pool::shared()); }
void backward(const Inputs& in, Found& f, bool skip = true) {
  AttentionBackward(in.a, in.dOut.data(), f.out.data(), f.lse.data(), {f.dq.data(), f.dk.data(), f.dv.data()}, skip).run(Pool::shared());
}

/// Within what rounding of sums of `length` terms explains.
bool close(const char* what, const Floats& found, const Doubles& wanted, int64_t length) {
  double largest = 0, worst = 0;
  for (size_t i = 0; i < found.size(); i++) {
    if (std::isfinite(wanted[i])) largest = std::max(largest, std::abs(wanted[i]));
    const double difference = found[i] == wanted[i] ? 0 : std::abs(found[i] - wanted[i]);
    if (!(difference <= worst)) worst = difference;
  }
  const bool fine = worst <= 3e-7 * std::sqrt(static_cast<double>(length)) * (1 + largest);
  if (!fine) printf("  %s: worst difference %g of largest %g\n", what, worst, largest);
  return fine;
}
bool same(const char* what, const Floats& a, const Floats& b) {
  for (size_t i = 0; i < a.size(); i++)
    if (!(a[i] == b[i])) return printf("  %s: other bits at %zu\n", what, i), false;
  return true;
}

bool check(const Case& c, std::mt19937& random) {
  const Inputs in = make(c, random);
  const Results wanted = reference(in);
  const int64_t length = c.headDim + c.keys;
  Found found(in);
  Pool::shared().resize(1);
  forward(in, found);
  backward(in, found);
  bool fine = close("out", found.out, wanted.out, length) & close("lse", found.lse, wanted.lse, length);
  fine &= close("dq", found.dq, wanted.dq, length) & close("dk", found.dk, wanted.dk, length) & close("dv", found.dv, wanted.dv, length);
  Found again(in);
  Pool::shared().resize(3);
  forward(in, again);
  backward(in, again, false);
  fine &= same("out, three threads", again.out, found.out) & same("lse, three threads", again.lse, found.lse);
  fine &= same("dq, zeros not skipped", again.dq, found.dq) & same("dk, zeros not skipped", again.dk, found.dk) & same("dv, zeros not skipped", again.dv, found.dv);
  Floats decoded(in.q.size(), NAN);
  AttentionDecode(in.a, decoded.data()).run(Pool::shared());
  fine &= close("decode", decoded, wanted.out, length);
  if (!fine)
    printf("WRONG: %ld queries, %ld keys, %ld KV heads x %ld, headDim %ld, window %d/%d/%d/%d%s%s\n", c.queries, c.keys, c.kvHeads, c.group, c.headDim,
           c.window.sink, c.window.recent, c.window.block, c.window.reach, c.scattered ? ", scattered" : "", c.shuffled ? ", shuffled" : "");
  return fine;
}

int check_all(int count) {
  std::mt19937 random(1);
  const auto between = [&](int64_t low, int64_t high) { return low + static_cast<int64_t>(random() % (high - low + 1)); };
  const int64_t dims[] = {8, 16, 20, 64, 80, 96, 128, 256, 7};
  int wrong = 0;
  for (int n = 0; n < count; n++) {
    Case c{};
    c.keys = n % 10 == 0 ? between(300, 700) : between(1, 200);
    c.queries = n % 3 == 0 ? between(1, std::min<int64_t>(c.keys, 5)) : between(1, c.keys);
    c.kvHeads = between(1, 3), c.group = between(1, 5), c.headDim = dims[random() % 9];
    if (n % 20 == 19) c.group = 110;
    if (n % 2) c.window = {static_cast<int32_t>(between(0, 20)), static_cast<int32_t>(between(n % 7 == 1 ? 0 : 1, 60)), n % 4 == 1 ? 1 : static_cast<int32_t>(between(2, 17))};
    if (n % 4 == 3) c.window.reach = static_cast<int32_t>(between(1, 100));
    c.scattered = random() % 3 == 0, c.shuffled = random() % 3 == 0;
    wrong += !check(c, random);
  }
  printf("%d of %d cases wrong\n", wrong, count);
  return wrong != 0;
}

int64_t visible_pairs(const Inputs& in) {
  int64_t pairs = 0;
  for (int64_t q = 0; q < in.a.queries; q++)
    for (int64_t k = 0; k < in.a.keys; k++) pairs += window_sees(in.a.window, in.a.position(q), k);
  return pairs * in.a.heads;
}

void time_case(const char* name, const Case& c, int threads, double top) {
  std::mt19937 random(2);
  Inputs in = make(c, random);
  in.dOut = normals(random, static_cast<int64_t>(in.dOut.size()));
  Found found(in);
  Pool::shared().resize(threads);
  const double flops = 4.0 * c.headDim * visible_pairs(in);
  const Time there = measure([&] { forward(in, found); }), back = measure([&] { backward(in, found); });
  printf("%-28s", name), print_rate(flops, there, top), print_rate(2.5 * flops, back, top), printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "check") return check_all(argc > 2 ? std::stoi(argv[2]) : 60);
  const int threads = argc > 1 ? std::stoi(argv[1]) : 2;
  if (check_all(100)) return 1;
  const double top = peak_rate();
  printf("%.1f GFLOP/s peak per thread, %d threads; forward, backward: time and rate over visible pairs, share of the peak per processor second\n", top * 1e-9, threads);
  for (int64_t tokens : {512, 1024, 2048}) {
    time_case(("causal " + std::to_string(tokens)).c_str(), {tokens, tokens, 4, 2, 64, {}, false, false}, threads, top);
    time_case(("streaming 16+64 " + std::to_string(tokens)).c_str(), {tokens, tokens, 4, 2, 64, {16, 64, 1}, false, false}, threads, top);
    time_case(("reach 256 " + std::to_string(tokens)).c_str(), {tokens, tokens, 4, 2, 64, {16, 1024, 1, 256}, false, false}, threads, top);
  }
  time_case("causal 1024, headDim 128", {1024, 1024, 4, 2, 128, {}, false, false}, threads, top);
  time_case("150 of 1024", {150, 1024, 4, 2, 64, {}, false, false}, threads, top);
  return 0;
}
