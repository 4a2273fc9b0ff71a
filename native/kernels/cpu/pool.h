// Persistent threads that share out numbered items. What an item computes never depends on which thread runs it or when, so
// results have the same bits for any number of threads.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace duo::cpu {

/// Memory on a cache line's boundary; freed with it.
class Buffer {
 public:
  explicit Buffer(int64_t floats) : data_(static_cast<float*>(std::aligned_alloc(64, bytes(floats))), std::free) {
    if (!data_) throw std::bad_alloc();
  }
  float* data() const { return data_.get(); }

 private:
  static size_t bytes(int64_t floats) { return (static_cast<size_t>(floats) * sizeof(float) / 64 + 1) * 64; }
  std::unique_ptr<float, decltype(&std::free)> data_;
};

class Pool {
 public:
  /// The process's pool. Never destroyed: its threads may still sleep in it while the process ends.
  static Pool& shared() {
    static Pool* pool = new Pool();
    return *pool;
  }

  int threads() const { return threads_; }

  /// Sets how many threads work, the calling one included.
  void resize(int threads) {
    std::lock_guard<std::mutex> one(entry_);
    stop();
    threads_ = threads < 1 ? 1 : threads;
    for (int worker = 1; worker < threads_; worker++) workers_.emplace_back([this, worker, start = round_.load()] { serve(worker, start); });
  }

  /// body(item, worker) for items 0..count-1 in any order, worker in 0..threads()-1; returns when all are done. Bodies must not throw.
  /// `work`: about how many multiplications all of it takes; a little is done faster than another thread wakes up.
  template <class Body>
  void run(int64_t count, int64_t work, const Body& body) {
    std::lock_guard<std::mutex> one(entry_);
    if (threads_ == 1 || count <= 1 || work < kWorthSharing) {
      for (int64_t item = 0; item < count; item++) body(item, 0);
      return;
    }
    publish(count, [](const void* b, int64_t item, int worker) { (*static_cast<const Body*>(b))(item, worker); }, &body);
    take_items(0);
    wait();
  }

 private:
  static constexpr int kLooks = 1000;
  static constexpr int64_t kWorthSharing = 1 << 19;

  using Call = void (*)(const void* body, int64_t item, int worker);

  void publish(int64_t count, Call call, const void* body) {
    count_ = count, call_ = call, body_ = body;
    next_.store(0, std::memory_order_relaxed);
    busy_.store(threads_ - 1, std::memory_order_relaxed);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      round_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
  }

  void take_items(int worker) {
    for (int64_t item; (item = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) call_(body_, item, worker);
  }

  void wait() {
    const auto done = [this] { return busy_.load(std::memory_order_acquire) == 0; };
    if (spin(done)) return;
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, done);
  }

  void serve(int worker, uint64_t seen) {
    const auto called = [&] { return round_.load(std::memory_order_acquire) != seen; };
    for (;;) {
      if (!spin(called)) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, called);
      }
      seen = round_.load(std::memory_order_acquire);
      if (stopping_) return;
      take_items(worker);
      if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        std::lock_guard<std::mutex> lock(mutex_);  // so that wait() cannot miss it between its look and its sleep
        done_.notify_one();
      }
    }
  }

  /// Looks for some microseconds, which spares a wake-up between the operations of one layer; false when it did not come true.
  template <class Condition>
  static bool spin(const Condition& condition) {
    for (int look = 0; look < kLooks; look++) {
      if (condition()) return true;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
    return condition();
  }

  void stop() {
    stopping_ = true;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      round_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
    stopping_ = false;
  }

  std::mutex entry_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  int threads_ = 1;
  bool stopping_ = false;  // read by a worker only after it has seen a new round
  std::atomic<uint64_t> round_{0};
  int64_t count_ = 0;
  Call call_ = nullptr;
  const void* body_ = nullptr;
  std::atomic<int64_t> next_{0};
  std::atomic<int> busy_{0};
};

}  // namespace duo::cpu
