#include <algorithm>
#include <limits>

#include "../core/simd.h"
#include "kernel.h"

namespace detforge {
namespace {

constexpr int64_t kAtOnce = 16384; // values that are copied before they are pooled
constexpr int64_t kLanes = 16;      // rows that advance side by side

// One plane (h, w): row after row, whole rows at a time. From the end, some rows are copied downwards first, as
// processors foresee them, and then pooled upwards in the second cache.
DETFORGE_CLONES void pool_rows(const float* x, float* y, int64_t height, int64_t width, bool from_end) {
    if (!from_end) {
        for (int64_t j = 0; j < width; ++j) y[j] = x[j];
        for (int64_t i = width; i < height * width; i += width) {
            for (int64_t j = i; j < i + width; ++j) y[j] = running_max(y[j - width], x[j]);
        }
        return;
    }
    const int64_t step = std::max<int64_t>(1, kAtOnce / width);
    for (int64_t end = height; end > 0; end -= std::min(step, end)) {
        const int64_t first = std::max<int64_t>(0, end - step);
        std::copy(x + first * width, x + end * width, y + first * width);
        for (int64_t i = std::min(end, height - 1) - 1; i >= first; --i) {
            for (int64_t j = i * width; j < (i + 1) * width; ++j) y[j] = running_max(y[j + width], y[j]);
        }
    }
}

// Up to kLanes rows (rows, w). Each value waits for the one before it, so the rows advance side by side, transposed.
DETFORGE_CLONES void pool_columns(const float* x, float* y, int64_t rows, int64_t width, bool from_end) {
    float tile[kLanes][kLanes] = {}, maximum[kLanes];
    for (float& each : maximum) each = -std::numeric_limits<float>::infinity();
    for (int64_t done = 0; done < width; done += kLanes) {
        const int64_t count = std::min(kLanes, width - done), step = from_end ? -1 : 1;
        const int64_t first = from_end ? width - 1 - done : done;
        for (int64_t i = 0; i < rows; ++i) {
            for (int64_t j = 0; j < count; ++j) tile[j][i] = x[i * width + first + j * step];
        }
        for (int64_t j = 0; j < count; ++j) {
#pragma GCC unroll 1  // or GCC makes 16 scalars of it
            for (int64_t i = 0; i < kLanes; ++i) tile[j][i] = maximum[i] = running_max(maximum[i], tile[j][i]);
        }
        for (int64_t i = 0; i < rows; ++i) {
            for (int64_t j = 0; j < count; ++j) y[i * width + first + j * step] = tile[j][i];
        }
    }
}

}  // namespace

template <Axis kAxis, From kFrom>
void CornerPool<kAxis, kFrom>::cpu(const Call& call, Context& context) {
    const Tensor& x = call.inputs[0];
    const int64_t height = x[2], width = x[3];
    if (x.size() == 0) return;
    context.parallel(x[0] * x[1], [&](int64_t plane) {
        const float* from = x.as<const float>() + plane * height * width;
        float* to = call.output.as<float>() + plane * height * width;
        if constexpr (kAxis == Axis::kHeight) {
            pool_rows(from, to, height, width, kFrom == From::kEnd);
        } else {
            for (int64_t i = 0; i < height; i += kLanes) {
                const int64_t rows = std::min(kLanes, height - i);
                pool_columns(from + i * width, to + i * width, rows, width, kFrom == From::kEnd);
            }
        }
    });
}

template void TopPool::CornerPool::cpu(const Call&, Context&);
template void BottomPool::CornerPool::cpu(const Call&, Context&);
template void LeftPool::CornerPool::cpu(const Call&, Context&);
template void RightPool::CornerPool::cpu(const Call&, Context&);

}  // namespace detforge
