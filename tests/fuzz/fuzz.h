// What the fuzz targets share: typed values from the fuzzer's bytes, and what must hold of a result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <set>
#include <type_traits>
#include <vector>

namespace fuzz {

// Ends the process, which the fuzzer reports with its input.
inline void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

// Whether the indices are of `n` things, at most `limit`, none of them twice.
inline bool are_some_of(const std::vector<int64_t>& indices, size_t n, size_t limit) {
    const std::set<int64_t> distinct(indices.begin(), indices.end());
    const bool in_range = indices.empty() || (*distinct.begin() >= 0 && *distinct.rbegin() < static_cast<int64_t>(n));
    return in_range && distinct.size() == indices.size() && indices.size() <= limit;
}

class Draw {
public:
    // After the given bytes come pseudo-random ones, which the first few seed: a short input can have large shapes.
    Draw(const uint8_t* data, size_t size) : data_(data), end_(data + size) {
        for (size_t i = 0; i < size && i < sizeof(state_); ++i) state_ = state_ << 8 | data[i];
    }

    uint8_t byte() {
        if (data_ != end_) return *data_++;
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return static_cast<uint8_t>(state_ >> 56);
    }

    bool flag() { return byte() & 1; }

    // A whole number from `least` to `most`.
    template <typename T = size_t>
    T whole(std::common_type_t<T> least, std::common_type_t<T> most) {
        const uint64_t reach = static_cast<uint64_t>(most) - static_cast<uint64_t>(least);
        uint64_t value = 0;
        for (uint64_t left = reach; left > 0; left >>= 8) value = value << 8 | byte();
        return static_cast<T>(static_cast<uint64_t>(least) + value % (reach + 1));
    }

    template <typename T>
    T pick(std::initializer_list<T> choices) {
        return choices.begin()[whole(0, choices.size() - 1)];
    }

    // Values from `least` to `most`, in few steps or in many; none, few or half of them are replaced by hostile ones.
    template <typename T>
    std::vector<T> values(size_t count, std::common_type_t<T> least, std::common_type_t<T> most) {
        const int steps = pick({1, 8, 255, 65535}), spoilt = pick({0, 0, 4, 128});
        std::vector<T> drawn(count);
        for (T& value : drawn) {
            const T part = static_cast<T>(whole<int>(0, steps)) / static_cast<T>(steps);
            value = spoilt > 0 && byte() < spoilt ? hostile<T>() : least + (most - least) * part;
        }
        return drawn;
    }

    // A value of which code is rarely thought: any bits, no number, without end, or next to nothing.
    template <typename T>
    T hostile() {
        using Limits = std::numeric_limits<T>;
        if (flag()) {
            return pick({Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(), Limits::max(), Limits::lowest(),
                         Limits::min(), Limits::denorm_min(), -Limits::denorm_min(), T(0), -T(0), T(1), T(-1), T(-0.5),
                         T(1e30), T(-1e30), T(3e9), T(-3e9)});
        }
        uint8_t bytes[sizeof(T)];
        for (uint8_t& each : bytes) each = byte();
        T value;
        std::memcpy(&value, bytes, sizeof(T));
        return value;
    }

    // Indices of `count` maps, in any order or with repetitions.
    template <typename T>
    std::vector<T> places(size_t count) {
        std::vector<T> drawn(count);
        for (T& place : drawn) place = whole<T>(0, count - 1);
        return drawn;
    }

    // Bytes of an image.
    std::vector<uint8_t> pixels(size_t count) {
        std::vector<uint8_t> drawn(count);
        for (uint8_t& pixel : drawn) pixel = byte();
        return drawn;
    }

private:
    const uint8_t *data_, *end_;
    uint64_t state_ = 0;
};

}  // namespace fuzz
