// A host of CPU kernels that brings its own threads.
#pragma once

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "op.h"

namespace detforge {

class Threads final : public Context {
  public:
    explicit Threads(int count) : count_(count < 1 ? 1 : count) {}

    int threads() const override { return count_; }

    void* allocate(size_t bytes) override {
        constexpr size_t kAlignment = 64;
        void* block = std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
        if (block == nullptr) throw std::bad_alloc();
        blocks_.emplace_back(block, &std::free);
        return block;
    }

  private:
    void run(void (*body)(void*, size_t), size_t count, void* data) override {
        std::atomic<size_t> next{0};
        const auto work = [&] {
            for (size_t i; (i = next.fetch_add(1)) < count;) body(data, i);
        };
        std::vector<std::thread> others;
        for (size_t i = 1; i < static_cast<size_t>(count_) && i < count; ++i) others.emplace_back(work);
        work();
        for (std::thread& other : others) other.join();
    }

    int count_;
    std::vector<std::unique_ptr<void, decltype(&std::free)>> blocks_;
};

}  // namespace detforge
