// BorderAlign: the largest of the bilinear samples along each border of a box. The formula is in op.py.
//
// Plan, on every device: x is copied channels last once, (n, group, h * w, c), so that the place and the weights of a
// sample are found once and feed all c channels of the group from contiguous memory. The results of a few boxes are
// gathered before they are written, because the output's boxes are contiguous and its channels are not.
//
// Bytes, floats: the copy reads and writes 4chw each; every box reads 4 * (pool_size + 1) samples of 4c, from caches
// (neighbouring boxes share pixels), and writes 4c. Operations: 4 multiply-adds and a maximum per sample and channel.
#pragma once

#include "../core/op.h"
#include "../core/samples.h"

namespace detforge {

// In the order of x's groups of channels and of the output's last axis.
enum BorderSide { kTop, kLeft, kBottom, kRight, kBorderSides };

// A border's samples: `start` + t / pool_size * `run`, for t = 0..pool_size.
struct Border {
    float start_x, start_y, run_x, run_y;
};

// Top and left start at (x1, y1), bottom and right at (x2, y2).
DETFORGE_HD Border border_of(const float* box, int side) {
    const float w = box[2] - box[0], h = box[3] - box[1];
    switch (side) {
        case kTop: return {box[0], box[1], w, 0.0f};
        case kLeft: return {box[0], box[1], 0.0f, h};
        case kBottom: return {box[2], box[3], -w, 0.0f};
        default: return {box[2], box[3], 0.0f, -h};
    }
}

// start + run * step, rounded twice: a sample that falls on the limit of the image must fall there in every form.
// (The CPU kernel calls this from code that is compiled without fused multiply-add.)
DETFORGE_HD float along_border(float start, float run, float step) {
#if defined(__CUDA_ARCH__)
    return __fadd_rn(start, __fmul_rn(run, step));
#else
    return start + run * step;
#endif
}

struct BorderAlign {
    static constexpr const char* name = "BorderAlign";
    static constexpr int inputs = 2;  // x (n, 4 * c, h, w), boxes (n, k, 4)
    static constexpr unsigned float_inputs = 0b10;  // boxes
    static constexpr std::array<Field, 1> fields{{{"pool_size", 1}}};
    static constexpr int64_t kLargestSize = 1 << 24;  // whose pixels a float tells apart
    static constexpr int64_t kLargestGroup = int64_t{1} << 31;
    static constexpr int64_t kLargestPool = 1 << 16;

    template <class Dim>
    static Shape<Dim> shape(const Shape<Dim>* inputs, const int64_t*) {
        return {{inputs[0][0], inputs[0][1] / 4, inputs[1][1], inputs[1][2]}, 4};
    }
    static const char* problem(const Call& call, DType) {
        const Tensor &x = call.inputs[0], &boxes = call.inputs[1];
        if (x.shape.rank != 4 || x[1] % kBorderSides != 0) return "x is not (n, 4 * c, h, w)";
        const bool fits = x[2] >= 1 && x[3] >= 1 && x[2] <= kLargestSize && x[3] <= kLargestSize;
        if (!fits) return "x has no pixels, or more than 2^24 to a side";
        if (x[1] / kBorderSides * x[2] * x[3] > kLargestGroup) return "a group of x has more than 2^31 values";
        if (boxes.shape.rank != 3 || boxes[0] != x[0] || boxes[2] != 4) return "boxes is not (n, k, 4)";
        const int64_t pool_size = call.attributes[0];
        return pool_size < 1 || pool_size > kLargestPool ? "pool_size is not in 1..65536" : nullptr;
    }
    static void cpu(const Call& call, Context& context);
    // x, channels last
    static size_t workspace(const Call& call, DType dtype) {
        return static_cast<size_t>(call.inputs[0].size()) * (dtype == DType::kFloat ? 4 : 2);
    }
    static int cuda(const Call& call, DType dtype, void* workspace, void* stream);
};

using border_align_ops = Ops<BorderAlign>;

}  // namespace detforge
