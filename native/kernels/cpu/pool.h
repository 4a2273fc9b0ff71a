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
    for (int worker = 1; worker < threads_; worker++) workers_.emplace_back([this, worker, start = round_] { serve(worker, start); });
  }

  /// body(item, worker) for items 0..count-1 in any order, worker in 0..threads()-1; returns when all are done. Bodies must not throw.
  template <class Body>
  void run(int64_t count, const Body& body) {
    std::lock_guard<std::mutex> one(entry_);
    if (threads_ == 1 || count <= 1) {
      for (int64_t item = 0; item < count; item++) body(item, 0);
      return;
    }
    publish(count, [](const void* b, int64_t item, int worker) { (*static_cast<const Body*>(b))(item, worker); }, &body);
    work(0);
    wait();
  }

 private:
  using Call = void (*)(const void* body, int64_t item, int worker);

  void publish(int64_t count, Call call, const void* body) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      count_ = count, call_ = call, body_ = body;
      next_.store(0, std::memory_order_relaxed);
      busy_.store(threads_ - 1, std::memory_order_relaxed);
      round_++;
    }
    wake_.notify_all();
  }

  void work(int worker) {
    for (int64_t item; (item = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) call_(body_, item, worker);
  }

  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_.load(std::memory_order_acquire) == 0; });
  }

  void serve(int worker, uint64_t seen) {
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || round_ != seen; });
        if (stopping_) return;
        seen = round_;
      }
      work(worker);
      std::lock_guard<std::mutex> lock(mutex_);
      if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) done_.notify_one();
    }
  }

  void stop() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
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
  bool stopping_ = false;
  uint64_t round_ = 0;
  int64_t count_ = 0;
  Call call_ = nullptr;
  const void* body_ = nullptr;
  std::atomic<int64_t> next_{0};
  std::atomic<int> busy_{0};
};

}  // namespace duo::cpu
