// Class-aware non-maximum suppression. The rule is in op.py.
//
// Plan, on a CPU: sort, then compare each box with those of its label that stayed. On a GPU: the rank of a score is the
// number of better ones, counted; a bit for every pair of ranks says whether the better box suppresses the other; one
// block for each image then walks down the ranks, 64 at a time, and gathers the bits of what stayed.
//
// Bytes and operations: k^2 comparisons of scores and at most k^2 / 2 overlaps, k^2 / 8 bytes of bits; there is no
// largest k but that. For the k of a detector, some thousands, both fit in caches.
#pragma once

#include "../core/op.h"

namespace detforge {

struct NmsBox {
    float x1, y1, x2, y2;
};

// Whether the intersection over union exceeds the threshold: in double, as in the runtime, after a look at whether
// they meet at all. Undefined or endless sides overlap nothing.
DETFORGE_HD bool suppresses(const NmsBox& a, const NmsBox& b, float threshold) {
    const double w = static_cast<double>(a.x2 < b.x2 ? a.x2 : b.x2) - (a.x1 > b.x1 ? a.x1 : b.x1);
    const double h = static_cast<double>(a.y2 < b.y2 ? a.y2 : b.y2) - (a.y1 > b.y1 ? a.y1 : b.y1);
    if (!(w > 0 && h > 0)) return false;
    const double shared = w * h;
    const double all = (static_cast<double>(a.x2) - a.x1) * (static_cast<double>(a.y2) - a.y1) +
                       (static_cast<double>(b.x2) - b.x1) * (static_cast<double>(b.y2) - b.y1) - shared;
    return all > 0 && all < 1e300 && shared / all > static_cast<double>(threshold);
}

struct Nms {
    static constexpr const char* name = "Nms";
    static constexpr int inputs = 4;  // boxes (n, k, 4), scores (n, k), labels (n, k), iou (1)
    static constexpr std::array<Field, 2> fields{{{"classes", 1}, {"limit", 1}}};  // the function alone asks for classes

    // How many positions a type tells apart.
    static constexpr int64_t positions(DType dtype) {
        return int64_t{1} << (dtype == DType::kHalf ? 11 : dtype == DType::kBFloat16 ? 8 : 24);
    }
    template <class Dim>
    static Shape<Dim> shape(const Shape<Dim>* inputs, const int64_t*) {
        return {{inputs[1][0], inputs[1][1], Dim(2)}, 3};
    }
    static const char* problem(const Call& call, DType dtype) {
        const Tensor &boxes = call.inputs[0], &scores = call.inputs[1], &labels = call.inputs[2], &iou = call.inputs[3];
        if (scores.shape.rank != 2 || scores[1] > positions(dtype)) {
            return "scores is not (n, k), k up to 2^24 in float, 2048 in half, 256 in bfloat16";
        }
        const bool are_boxes =
            boxes.shape.rank == 3 && boxes[0] == scores[0] && boxes[1] == scores[1] && boxes[2] == 4;
        if (!are_boxes) return "boxes is not (n, k, 4)";
        if (labels.shape.rank != 2 || labels[0] != scores[0] || labels[1] != scores[1]) return "labels is not (n, k)";
        if (iou.shape.rank != 1 || iou[0] != 1) return "iou is not (1)";
        return call.attributes[1] < 1 ? "limit is not positive" : nullptr;
    }
    static void cpu(const Call& call, Context& context);
    static size_t workspace(const Call& call, DType dtype);
    static int cuda(const Call& call, DType dtype, void* workspace, void* stream);
};

using nms_ops = Ops<Nms>;

}  // namespace detforge
