// Plan: a block makes kColumns x kRows pixels of the canvas. It first finds which pixels of the image each of its
// columns and rows lies between, in double as on the CPU, and with what weights, into shared memory. Then each thread
// blends the four pixels of its own ones in integers and writes three planes, each 128 contiguous bytes a warp.
// Neighbouring threads read the same lines of the image from caches.
//
// Bytes: the image's 3 a pixel at most once from memory, 3 values a pixel of the canvas. Floor for 1280 x 720 to
// 640 x 384 in half at 3 TB/s: 1.5 us, the time of a launch. Operations in double: some 10 for each row and column of a
// block, one for 12 pixels, which the many GPUs with few units for them need. Not measured here.
#include "../core/device.h"
#include "preprocess.h"

namespace detforge {
namespace {

constexpr int kThreads = 256, kColumns = 64, kRows = 16;  // of a block

// A row or column of the canvas in the image: the places of the two that it lies between, in bytes, and their weights
// in 2048ths.
struct Tap {
    int64_t near_at, far_at;
    int near, far;
};

__device__ int64_t clamped(int64_t i, int64_t last) { return i < 0 ? 0 : i > last ? last : i; }

// The i-th of `pixels` resized by `step`, `size` bytes each. Each operation rounds by itself, as on the CPU: a fused
// one would move a tap now and then.
__device__ Tap tap_at(int64_t i, double step, int64_t pixels, int64_t size, bool is_column) {
    const double product = __dmul_rn(static_cast<double>(i) + 0.5, step);
    const float place = static_cast<float>(__dadd_rn(product, -0.5));
    int64_t at = static_cast<int64_t>(floorf(place));
    float far = place - static_cast<float>(at);
    if (is_column && (at < 0 || at >= pixels - 1)) {
        at = at < 0 ? 0 : pixels - 1;
        far = 0.0f;
    }
    return {clamped(at, pixels - 1) * size, clamped(at + 1, pixels - 1) * size,
            static_cast<int>(rintf((1.0f - far) * 2048.0f)), static_cast<int>(rintf(far * 2048.0f))};
}

__device__ int blend(const uint8_t* upper, const uint8_t* lower, const Tap& column, const Tap& row) {
    const int above = (upper[column.near_at] * column.near + upper[column.far_at] * column.far) >> 4;
    const int below = (lower[column.near_at] * column.near + lower[column.far_at] * column.far) >> 4;
    return (((above * row.near) >> 16) + ((below * row.far) >> 16) + 2) >> 2;
}

template <class T>
__global__ void __launch_bounds__(kThreads) preprocess(detforge_picture picture, T* canvas, double row_step,
                                                       double column_step, int64_t tiles) {
    __shared__ Tap rows[kRows], columns[kColumns];
    const uint8_t* image = static_cast<const uint8_t*>(picture.pixels);
    const int thread = threadIdx.x, column = thread % kColumns;
    const int64_t width = picture.canvas[1], pixels = picture.canvas[0] * width;
    const int64_t column_tiles = divide_up<int64_t>(width, kColumns);
    for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const int64_t top = tile / column_tiles * kRows - picture.offset[0];  // in the resized image
        const int64_t left = tile % column_tiles * kColumns - picture.offset[1];
        if (thread < kColumns) {
            columns[thread] = tap_at(left + thread, column_step, picture.size[1], 3, true);
        } else if (thread < kColumns + kRows) {
            const int row = thread - kColumns;
            rows[row] = tap_at(top + row, row_step, picture.size[0], picture.size[1] * 3, false);
        }
        __syncthreads();
        const int64_t x = left + column, canvas_x = x + picture.offset[1];
        for (int row = thread / kColumns; row < kRows && canvas_x < width; row += kThreads / kColumns) {
            const int64_t y = top + row, canvas_y = y + picture.offset[0];
            if (canvas_y >= picture.canvas[0]) break;
            T* to = canvas + canvas_y * width + canvas_x;
            const bool is_image = y >= 0 && y < picture.resized[0] && x >= 0 && x < picture.resized[1];
            const uint8_t *upper = image + rows[row].near_at, *lower = image + rows[row].far_at;
            for (int c = 0; c < 3; ++c) {
                float value = picture.fill[c];
                if (is_image) {
                    const int channel = picture.swap ? 2 - c : c;
                    const int level = blend(upper + channel, lower + channel, columns[column], rows[row]);
                    value = (static_cast<float>(level) - picture.mean[c]) / picture.std[c];
                }
                to[c * pixels] = from_float<T>(value);
            }
        }
        __syncthreads();
    }
}

// As OpenCV has it, rounded twice.
double step_of(int64_t resized, int64_t pixels) {
    return 1 / (static_cast<double>(resized) / static_cast<double>(pixels));
}

}  // namespace

int preprocess_cuda(const detforge_picture& picture, DType dtype, void* canvas, void* stream) {
    const int64_t row_tiles = divide_up<int64_t>(picture.canvas[0], kRows);
    const int64_t tiles = row_tiles * divide_up<int64_t>(picture.canvas[1], kColumns);
    return with_type(dtype, [&](auto zero) {
        using T = decltype(zero);
        return launch(preprocess<T>, tiles, kThreads, stream, picture, static_cast<T*>(canvas),
                      step_of(picture.resized[0], picture.size[0]), step_of(picture.resized[1], picture.size[1]),
                      tiles);
    });
}

}  // namespace detforge
