// How a convolution in panels is laid out in memory, and divided among blocks.
#pragma once

#include <numeric>

#include "../core/device.h"
#include "kernel.h"

namespace detforge::deform_conv {

constexpr int kThreads = 256, kPoints = 128;  // of a block
constexpr int kChunks = 8;                    // of 16 bytes, in a row of a panel
constexpr int kMostTaps = 9;                  // whose samples' places are kept at a time
constexpr int kFewItems = 128, kMostSplits = 8;  // the inner dimension is split while there are few items
constexpr int64_t kAlignment = 256;

template <class T>
constexpr int kVector = 16 / static_cast<int>(sizeof(T));  // values of a chunk

// How the inner dimension of a group's product lies: segments, of them taps, of them channels in chunks.
struct Layout {
    int64_t segment;             // channels
    int segments, chunks, taps;  // of a group; of a tap, filled up to whole steps; of the kernel
    int64_t given, given_group;  // chunks of a segment and of a group, in x
    int outputs;                 // of a group, filled up to whole tiles

    DETFORGE_HD int row() const { return segments * taps * chunks; }  // chunks of an output
};

inline int64_t segment_of(const DeformConvCall& call) {
    return std::gcd(call.group_channels(), call.offset_group_channels());
}

// How many times 64 outputs a tile has at most.
inline int tallest(const DeformConvCall& call, int vector) {
    const int most = vector == 4 ? 2 : 4;
    int tall = 1;
    while (tall < most && 64 * tall < call.group_outputs()) tall *= 2;
    return tall;
}

inline int64_t filled_outputs(const DeformConvCall& call, int vector) {
    const int64_t tile = 64 * tallest(call, vector);
    return divide_up(call.group_outputs(), tile) * tile;
}

inline Layout layout_of(const DeformConvCall& call, int vector) {
    const int64_t segment = segment_of(call), chunks = divide_up<int64_t>(segment, kChunks * vector) * kChunks;
    return {segment,
            static_cast<int>(call.group_channels() / segment),
            static_cast<int>(chunks),
            static_cast<int>(call.taps()),
            segment / vector,
            call.group_channels() / vector,
            static_cast<int>(filled_outputs(call, vector))};
}

inline int64_t chunks_of_x(const DeformConvCall& call, int vector) {  // and a pixel of zeros
    return (call.batch * call.height * call.width + 1) * (call.channels / vector);
}

inline int64_t tiles_of(const DeformConvCall& call, int tall) {
    return call.batch * call.groups * divide_up<int64_t>(call.group_outputs(), 64 * tall) *
           divide_up<int64_t>(call.points(), kPoints);
}

inline int vector_of(DType dtype) { return dtype == DType::kFloat ? 4 : 8; }

// What the panels' kernels count is counted in 32 bits.
inline bool is_for_panels(const DeformConvCall& call, DType dtype) {
    constexpr int64_t kMost = int64_t{1} << 31;
    const int vector = vector_of(dtype);
    const int64_t segment = segment_of(call);
    if (segment == 0 || segment % vector != 0 || call.group_outputs() < 16) return false;
    const int64_t row = call.group_channels() / segment * call.taps() * (segment + kChunks * vector);  // or less
    return chunks_of_x(call, vector) < kMost && call.groups * filled_outputs(call, vector) * row < kMost &&
           tiles_of(call, 1) < kMost && call.points() < kMost;
}

// What a call's blocks do: items of 64 * tall outputs, kPoints points and one of `splits` parts of the inner dimension.
struct Plan {
    int tall, taps_at_once, splits;
    int64_t tiles;
    bool has_vectors;  // y is written in chunks
};

// Shared memory: two stages of a panel of weights and one of samples, then the samples' places.
template <class T>
constexpr DETFORGE_HD int bytes_of_panels(int tall) {
    return 2 * (64 * tall + kPoints) * kChunks * 16;
}
template <class T>
constexpr DETFORGE_HD int bytes_of_tap() {
    return kPoints * static_cast<int>(sizeof(uint4) + sizeof(Vector<T, 4>) + sizeof(T));
}

template <class T>
Plan plan_of(const DeformConvCall& call, const Layout& layout, int shared) {
    Plan plan{tallest(call, kVector<T>), 1, 1, 0, call.points() % kVector<T> == 0 && is_aligned<T, kVector<T>>(call.y)};
    while (plan.tall > 1 && bytes_of_panels<T>(plan.tall) + bytes_of_tap<T>() > shared) plan.tall /= 2;
    while (plan.tall > 2 && 2 * tiles_of(call, plan.tall) <= kFewItems) plan.tall /= 2;
    plan.taps_at_once = (shared - bytes_of_panels<T>(plan.tall)) / bytes_of_tap<T>();
    if (plan.taps_at_once > kMostTaps) plan.taps_at_once = kMostTaps;
    if (plan.taps_at_once > layout.taps) plan.taps_at_once = layout.taps;
    plan.tiles = tiles_of(call, plan.tall);
    const int steps = layout.row() / kChunks;
    while (plan.splits < kMostSplits && plan.tiles * plan.splits * 2 <= kFewItems && steps >= plan.splits * 8) {
        plan.splits *= 2;
    }
    return plan;
}

// The workspace: x channels last, the weights as steps read them, the sums of each part, and how many parts are done.
struct Workspace {
    int64_t weight, partial, arrivals, size;  // bytes before each
};

inline Workspace workspace_of(const DeformConvCall& call, DType dtype) {
    const auto aligned = [](int64_t bytes) { return divide_up(bytes, kAlignment) * kAlignment; };
    const int vector = vector_of(dtype);
    const int tall = tallest(call, vector);
    const Layout layout = layout_of(call, vector);
    const int64_t items = tiles_of(call, tall) * kMostSplits, tile = 64 * tall * kPoints * 4;
    Workspace made{};
    made.weight = aligned(chunks_of_x(call, vector) * 16);
    made.partial = made.weight + aligned(call.groups * layout.outputs * layout.row() * 16);
    made.arrivals = made.partial + (items < kFewItems ? items : kFewItems) * tile;
    made.size = made.arrivals + kFewItems * 4;
    return made;
}

}  // namespace detforge::deform_conv
