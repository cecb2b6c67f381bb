#include "../core/simd.h"
#include "kernel.h"

namespace detforge {
namespace {

// One plane (h, w): row after row, whole rows at a time.
DETFORGE_CLONES void pool_rows(const float* x, float* y, int64_t height, int64_t width, bool from_end) {
    const int64_t step = from_end ? -width : width;
    int64_t row = from_end ? (height - 1) * width : 0;
    for (int64_t j = 0; j < width; ++j) y[row + j] = x[row + j];
    for (int64_t i = 1; i < height; ++i) {
        row += step;
        for (int64_t j = 0; j < width; ++j) y[row + j] = running_max(y[row - step + j], x[row + j]);
    }
}

// Rows (count, w): each value waits for the one before it, so several rows advance side by side.
template <int kRows>
DETFORGE_INLINE void pool_columns(const float* x, float* y, int64_t width, int64_t first, int64_t step) {
    float maximum[kRows];
    for (int row = 0; row < kRows; ++row) maximum[row] = y[row * width + first] = x[row * width + first];
    for (int64_t k = 1, j = first + step; k < width; ++k, j += step) {
        for (int row = 0; row < kRows; ++row) {
            y[row * width + j] = maximum[row] = running_max(maximum[row], x[row * width + j]);
        }
    }
}

constexpr int64_t kSideBySide = 8;

DETFORGE_CLONES void pool_along_width(const float* x, float* y, int64_t rows, int64_t width, bool from_end) {
    const int64_t first = from_end ? width - 1 : 0, step = from_end ? -1 : 1;
    int64_t row = 0;
    for (; row + kSideBySide <= rows; row += kSideBySide) {
        pool_columns<kSideBySide>(x + row * width, y + row * width, width, first, step);
    }
    for (; row < rows; ++row) pool_columns<1>(x + row * width, y + row * width, width, first, step);
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
            pool_along_width(from, to, height, width, kFrom == From::kEnd);
        }
    });
}

template void TopPool::CornerPool::cpu(const Call&, Context&);
template void BottomPool::CornerPool::cpu(const Call&, Context&);
template void LeftPool::CornerPool::cpu(const Call&, Context&);
template void RightPool::CornerPool::cpu(const Call&, Context&);

}  // namespace detforge
