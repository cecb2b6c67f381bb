// Loops on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <future>
#include <vector>

namespace detforge {

// Calls body(i) for i in 0..count - 1 on at most this number of threads, and waits. Each has a body of its own, which
// `make` returns. An exception of one of them is thrown here.
template <typename Make>
void parallel(size_t count, size_t threads, const Make& make) {
    std::atomic<size_t> next{0};
    const auto work = [&] {
        auto body = make();
        for (size_t i = next++; i < count; i = next++) body(i);
    };
    std::vector<std::future<void>> others;
    for (size_t i = 1; i < std::min(threads, count); ++i) others.push_back(std::async(std::launch::async, work));
    work();
    for (std::future<void>& other : others) other.get();
}

}  // namespace detforge
