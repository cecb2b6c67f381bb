// Deformable convolution: a convolution whose taps are moved by learned offsets. The formula is in op.py.
//
// Plan, on every device: x is copied channels last once, so that the place and the weights of a sample are found once
// and feed all c / offset_group channels of its offset group from contiguous memory. For a tile of output points the
// samples are written straight into the panel that a blocked matrix product consumes (an implicit GEMM: the matrix of
// all samples, kh * kw times as large as x, is never made).
//
// Operations, multiply-adds: c' * c / group * kh * kw per output point for the product, 5 * c * kh * kw for its samples
// (2 % of the product for 256 outputs). Bytes, floats: the copy reads and writes 4chw each, offsets and mask are read
// and the output is written once, the weights are read once for each tile of points, and a sample reads 4 * 4c from
// caches (neighbouring points share pixels).
#pragma once

#include "../core/op.h"

namespace detforge {

// Both operators, from their inputs and attributes; problem() was asked before.
struct DeformConvCall {
    int64_t batch, channels, height, width;  // of x
    int64_t outputs, out_height, out_width;  // of y: c', h', w'
    int64_t kernel_height, kernel_width;
    int64_t stride[2], pad[2], dilation[2];  // vertical, horizontal
    int64_t groups, offset_groups;
    const void *x, *offset, *mask, *weight, *bias;  // mask: nullptr is all 1
    void* y;

    DETFORGE_HD int64_t taps() const { return kernel_height * kernel_width; }
    DETFORGE_HD int64_t points() const { return out_height * out_width; }
    DETFORGE_HD int64_t group_channels() const { return channels / groups; }
    DETFORGE_HD int64_t group_outputs() const { return outputs / groups; }
    DETFORGE_HD int64_t offset_group_channels() const { return channels / offset_groups; }
};

// The bilinear sample at a place of an image: four pixels of h * w, from left to right and from top to bottom, and
// their weights. A pixel of -1 is outside, counts as 0 and has the weight 0.
struct BilinearSample {
    int32_t pixel[4];
    float weight[4];
};

// The place of a tap before its offset, along one axis; add the offset in float.
DETFORGE_HD float tap_position(int64_t point, int64_t tap, int64_t stride, int64_t pad, int64_t dilation) {
    return static_cast<float>(point * stride - pad + tap * dilation);
}

// A place one pixel or more outside, and one that is infinite or not a number, has no pixel: the sample is 0.
DETFORGE_HD BilinearSample bilinear_sample(float y, float x, int height, int width) {
    BilinearSample sample{{-1, -1, -1, -1}, {0.0f, 0.0f, 0.0f, 0.0f}};
    const bool inside = y > -1.0f && x > -1.0f && y < static_cast<float>(height) && x < static_cast<float>(width);
    if (!inside) return sample;
    const int top = y < 0.0f ? -1 : static_cast<int>(y), left = x < 0.0f ? -1 : static_cast<int>(x);
    const float below = y - static_cast<float>(top), right = x - static_cast<float>(left);
    const bool has_top = top >= 0, has_bottom = top + 1 < height, has_left = left >= 0, has_right = left + 1 < width;
    const int pixel = top * width + left;
    if (has_top && has_left) sample.pixel[0] = pixel, sample.weight[0] = (1.0f - below) * (1.0f - right);
    if (has_top && has_right) sample.pixel[1] = pixel + 1, sample.weight[1] = (1.0f - below) * right;
    if (has_bottom && has_left) sample.pixel[2] = pixel + width, sample.weight[2] = below * (1.0f - right);
    if (has_bottom && has_right) sample.pixel[3] = pixel + width + 1, sample.weight[3] = below * right;
    return sample;
}

template <bool kModulated>
struct DeformConvBase {
    // x (n, c, h, w), offset (n, 2 * offset_group * kh * kw, h', w'), mask (n, offset_group * kh * kw, h', w'),
    // weight (c', c / group, kh, kw), bias (c')
    static constexpr int inputs = kModulated ? 5 : 4;
    static constexpr std::array<Field, 5> fields{
        {{"strides", 2}, {"pads", 4}, {"dilations", 2}, {"group", 1}, {"offset_group", 1}}};
    static constexpr int64_t kLargestSize = 1 << 24;  // whose pixels a float tells apart
    static constexpr int64_t kLargestImage = int64_t{1} << 30;
    static constexpr int64_t kLargestKernel = 1 << 10;

    template <class Dim>
    static Shape<Dim> shape(const Shape<Dim>* inputs, const int64_t*) {
        return {{inputs[0][0], inputs[kWeight][0], inputs[1][2], inputs[1][3]}, 4};
    }
    static const char* problem(const Call& call, DType) {
        const Tensor &x = call.inputs[0], &offset = call.inputs[1], &weight = call.inputs[kWeight];
        const Tensor& bias = call.inputs[kWeight + 1];
        for (int i = 0; i < 8; ++i) {  // strides, pads, dilations
            const int64_t value = call.attributes[i];
            const bool is_pad = i >= 2 && i < 6;
            if (value > kLargestSize || value < (is_pad ? -kLargestSize : 1)) {
                return is_pad ? "a pad is out of range" : "a stride or dilation is not in 1..2^24";
            }
        }
        const int64_t group = call.attributes[8], offset_group = call.attributes[9];
        if (group < 1 || offset_group < 1 || group > kLargestSize || offset_group > kLargestSize) {
            return "group or offset_group is not in 1..2^24";
        }
        if (x.shape.rank != 4) return "x is not (n, c, h, w)";
        const bool fits = x[2] >= 1 && x[3] >= 1 && x[2] <= kLargestSize && x[3] <= kLargestSize;
        if (!fits || x[2] * x[3] > kLargestImage) return "x has no pixels, more than 2^24 to a side, or more than 2^30";
        if (x[1] % group != 0 || x[1] % offset_group != 0) return "group or offset_group does not divide x's channels";
        if (weight.shape.rank != 4 || weight[1] != x[1] / group) return "weight is not (c', c / group, kh, kw)";
        if (weight[0] % group != 0) return "group does not divide weight's outputs";
        const int64_t kh = weight[2], kw = weight[3];
        if (kh < 1 || kw < 1 || kh > kLargestKernel || kw > kLargestKernel) return "kh or kw is not in 1..1024";
        const int64_t offsets = offset_group * kh * kw;
        if (!fits_points(offset, x[0], 2 * offsets)) return "offset is not (n, 2 * offset_group * kh * kw, h', w')";
        if (kModulated) {
            const Tensor& mask = call.inputs[2];
            const bool alike = fits_points(mask, x[0], offsets) && mask[2] == offset[2] && mask[3] == offset[3];
            if (!alike) return "mask is not (n, offset_group * kh * kw, h', w')";
        }
        return bias.shape.rank == 1 && bias[0] == weight[0] ? nullptr : "bias is not (c')";
    }
    static DeformConvCall read(const Call& call) {
        const Tensor &x = call.inputs[0], &offset = call.inputs[1], &weight = call.inputs[kWeight];
        const int64_t* attributes = call.attributes;
        DeformConvCall result{};
        result.batch = x[0], result.channels = x[1], result.height = x[2], result.width = x[3];
        result.outputs = weight[0], result.out_height = offset[2], result.out_width = offset[3];
        result.kernel_height = weight[2], result.kernel_width = weight[3];
        for (int axis = 0; axis < 2; ++axis) {
            result.stride[axis] = attributes[axis];
            result.pad[axis] = attributes[2 + axis];
            result.dilation[axis] = attributes[6 + axis];
        }
        result.groups = attributes[8], result.offset_groups = attributes[9];
        result.x = x.data, result.offset = offset.data, result.mask = kModulated ? call.inputs[2].data : nullptr;
        result.weight = weight.data, result.bias = call.inputs[kWeight + 1].data, result.y = call.output.data;
        return result;
    }
    static void cpu(const Call& call, Context& context);
    static size_t workspace(const Call& call, DType dtype);
    static int cuda(const Call& call, DType dtype, void* workspace, void* stream);

  private:
    static constexpr int kWeight = kModulated ? 3 : 2;

    static bool fits_points(const Tensor& tensor, int64_t batch, int64_t channels) {
        return tensor.shape.rank == 4 && tensor[0] == batch && tensor[1] == channels && tensor[2] <= kLargestSize &&
               tensor[3] <= kLargestSize;
    }
};

struct DeformConv : DeformConvBase<false> {
    static constexpr const char* name = "DeformConv";
};
struct ModulatedDeformConv : DeformConvBase<true> {
    static constexpr const char* name = "ModulatedDeformConv";
};

using deform_conv_ops = Ops<DeformConv, ModulatedDeformConv>;

}  // namespace detforge
