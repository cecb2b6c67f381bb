// Corner pooling: the running maximum along one axis, from one end. The formula is in op.py.
#pragma once

#include "../core/op.h"

namespace detforge {

// The larger of the maximum so far and the next value; a NaN, once met, stays.
DETFORGE_HD float running_max(float maximum, float value) {
    return value > maximum || value != value ? value : maximum;
}

enum class Axis { kHeight, kWidth };
enum class From { kStart, kEnd };

template <Axis kAxis, From kFrom>
struct CornerPool {
    static constexpr int inputs = 1;
    static constexpr std::array<Field, 0> fields{};

    template <class Dim>
    static Shape<Dim> shape(const Shape<Dim>* inputs, const int64_t*) {
        return inputs[0];
    }
    static const char* problem(const Call& call, DType) {
        return call.inputs[0].shape.rank == 4 ? nullptr : "x is not (n, c, h, w)";
    }
    static void cpu(const Call& call, Context& context);
    static size_t workspace(const Call&, DType) { return 0; }
    static int cuda(const Call& call, DType dtype, void* workspace, void* stream);
};

struct TopPool : CornerPool<Axis::kHeight, From::kEnd> {
    static constexpr const char* name = "TopPool";
};
struct BottomPool : CornerPool<Axis::kHeight, From::kStart> {
    static constexpr const char* name = "BottomPool";
};
struct LeftPool : CornerPool<Axis::kWidth, From::kEnd> {
    static constexpr const char* name = "LeftPool";
};
struct RightPool : CornerPool<Axis::kWidth, From::kStart> {
    static constexpr const char* name = "RightPool";
};

using corner_pool_ops = Ops<TopPool, BottomPool, LeftPool, RightPool>;

}  // namespace detforge
