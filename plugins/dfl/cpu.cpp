#include <algorithm>
#include <cstring>

#include "../core/simd.h"
#include "kernel.h"

namespace detforge {
namespace {

constexpr int64_t kLanes = 16;  // sides that are decoded side by side
constexpr int64_t kChunk = 64;  // times kLanes, of one thread's turn

// exp(x) of x <= 0 within 1.5 ulp, 0 below -87; a NaN stays. The polynomial is minimax on [-log(2) / 2, log(2) / 2].
DETFORGE_INLINE float exponential(float x) {
    constexpr float kShift = 0x1.8p23f;  // a sum with it has the rounded value in its last bits
    const float shifted = x * 0x1.715476p0f + kShift, n = shifted - kShift;
    const float r = x - n * 0x1.62e4p-1f - n * 0x1.7f7d1cp-20f;
    const float q = 0x1.6a23dcp-10f * r + 0x1.123a1ep-7f;
    const float p = r * r * (((q * r + 0x1.5558f2p-5f) * r + 0x1.555492p-3f) * r + 0x1.fffffcp-2f) + r + 1.0f;
    uint32_t bits;
    std::memcpy(&bits, &shifted, sizeof(bits));
    bits = (bits << 23) + 0x3f800000u;
    float power;
    std::memcpy(&power, &bits, sizeof(power));
    return x < -87.0f ? 0.0f : p * power;
}

// Distances of kLanes sides, whose logits lie transposed in `tile` (bins, kLanes).
DETFORGE_CLONES void expect(const float* tile, int64_t bins, float* distances) {
    float maximum[kLanes], sum[kLanes] = {}, weighted[kLanes] = {};
    for (int64_t i = 0; i < kLanes; ++i) maximum[i] = tile[i];
    for (int64_t b = 1; b < bins; ++b) {
#pragma GCC unroll 1  // or GCC makes 16 scalars of it
        for (int64_t i = 0; i < kLanes; ++i) {
            const float logit = tile[b * kLanes + i], before = maximum[i];
            maximum[i] = logit > before ? logit : before;
        }
    }
    for (int64_t b = 0; b < bins; ++b) {
        const float bin = static_cast<float>(b);
        for (int64_t i = 0; i < kLanes; ++i) {
            const float share = exponential(tile[b * kLanes + i] - maximum[i]);
            sum[i] += share;
            weighted[i] += bin * share;
        }
    }
    for (int64_t i = 0; i < kLanes; ++i) distances[i] = weighted[i] / sum[i];
}

// Calls write(first, distances, count) for the distances of every few sides.
template <class Write>
void decode(const Tensor& logits, Context& context, const Write& write) {
    const int64_t bins = logits[2] / 4, sides = logits[0] * logits[1] * 4;
    const int64_t chunks = (sides + kChunk * kLanes - 1) / (kChunk * kLanes);
    float* tiles = context.allocate_array<float>(chunks * bins * kLanes);
    context.parallel(chunks, [&](int64_t chunk) {
        float* tile = tiles + chunk * bins * kLanes;
        const int64_t end = std::min(sides, (chunk + 1) * kChunk * kLanes);
        for (int64_t first = chunk * kChunk * kLanes; first < end; first += kLanes) {
            const int64_t count = std::min(kLanes, end - first);
            for (int64_t i = 0; i < kLanes; ++i) {
                const float* row = logits.as<const float>() + (first + std::min(i, count - 1)) * bins;
                for (int64_t b = 0; b < bins; ++b) tile[b * kLanes + i] = row[b];
            }
            float distances[kLanes];
            expect(tile, bins, distances);
            write(first, distances, count);
        }
    });
}

}  // namespace

void Dfl::cpu(const Call& call, Context& context) {
    decode(call.inputs[0], context, [&](int64_t first, const float* distances, int64_t count) {
        std::copy_n(distances, count, call.output.as<float>() + first);
    });
}

void DflBoxes::cpu(const Call& call, Context& context) {
    const Tensor& logits = call.inputs[0];
    const float *points = call.inputs[1].as<const float>(), *strides = call.inputs[2].as<const float>();
    decode(logits, context, [&](int64_t first, const float* distances, int64_t count) {
        for (int64_t i = 0; i < count; ++i) {
            const int64_t point = (first + i) / 4 % logits[1];
            const int side = static_cast<int>(i % 4);
            call.output.as<float>()[first + i] =
                side_of_box(distances[i], strides[point], points[point * 2 + side % 2], side);
        }
    });
}

}  // namespace detforge
