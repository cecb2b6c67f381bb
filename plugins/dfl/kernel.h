// Distances of box sides from distributions, and the boxes that they span. The formula is in op.py.
//
// Plan, on every device: softmax and expectation in registers, in two looks at the r logits of a side (the maximum,
// then both sums), many sides side by side; `DflBoxes` goes on to the box before it writes.
//
// Bytes, floats: a point reads 4r logits and writes 4; the boxes read 3 more. Operations: an exponential, two sums and
// a maximum per logit. So it is the exponential that a CPU waits for, and the memory that a GPU waits for.
#pragma once

#include "../core/op.h"

namespace detforge {

// softmax(logits) * bins, summed up as `weighted / sum` over exp(logit - maximum).
struct Expectation {
    float sum = 0.0f, weighted = 0.0f;

    // `exponential` is that of bin `bin`.
    DETFORGE_HD void add(float exponential, float bin) {
        sum += exponential;
        weighted += bin * exponential;
    }
    DETFORGE_HD float value() const { return weighted / sum; }
};

// The coordinate of side 0..3 (left, top, right, bottom) of the box around a point: `position` is the point's x or y.
DETFORGE_HD float side_of_box(float distance, float stride, float position, int side) {
    return side < 2 ? position - distance * stride : position + distance * stride;
}

inline const char* problem_of_logits(const Tensor& logits) {
    const bool fits = logits.shape.rank == 3 && logits[2] >= 4 && logits[2] % 4 == 0;
    return fits ? nullptr : "logits is not (n, a, 4 * r)";
}

struct Dfl {
    static constexpr const char* name = "Dfl";
    static constexpr int inputs = 1;  // logits (n, a, 4 * r)
    static constexpr std::array<Field, 0> fields{};

    template <class Dim>
    static Shape<Dim> shape(const Shape<Dim>* inputs, const int64_t*) {
        return {{inputs[0][0], inputs[0][1], Dim(4)}, 3};
    }
    static const char* problem(const Call& call, DType) { return problem_of_logits(call.inputs[0]); }
    static void cpu(const Call& call, Context& context);
    static size_t workspace(const Call&, DType) { return 0; }
    static int cuda(const Call& call, DType dtype, void* workspace, void* stream);
};

struct DflBoxes {
    static constexpr const char* name = "DflBoxes";
    static constexpr int inputs = 3;  // logits (n, a, 4 * r), points (a, 2), strides (a, 1)
    static constexpr std::array<Field, 0> fields{};

    template <class Dim>
    static Shape<Dim> shape(const Shape<Dim>* inputs, const int64_t*) {
        return Dfl::shape(inputs, nullptr);
    }
    static const char* problem(const Call& call, DType) {
        const Tensor &logits = call.inputs[0], &points = call.inputs[1], &strides = call.inputs[2];
        if (const char* problem = problem_of_logits(logits)) return problem;
        if (points.shape.rank != 2 || points[0] != logits[1] || points[1] != 2) return "points is not (a, 2)";
        const bool fits = strides.shape.rank == 2 && strides[0] == logits[1] && strides[1] == 1;
        return fits ? nullptr : "strides is not (a, 1)";
    }
    static void cpu(const Call& call, Context& context);
    static size_t workspace(const Call&, DType) { return 0; }
    static int cuda(const Call& call, DType dtype, void* workspace, void* stream);
};

using dfl_ops = Ops<Dfl, DflBoxes>;

}  // namespace detforge
