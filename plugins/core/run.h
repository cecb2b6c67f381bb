// Running an operator on the CPU in float or half precision, whatever its host.
#pragma once

#include "half.h"
#include "op.h"

namespace detforge {

// Converts `count` values in pieces, on several threads.
template <class From, class To>
void convert(void (*part)(const From*, To*, int64_t), const From* from, To* to, int64_t count, Context& context) {
    constexpr int64_t kPiece = 1 << 14;
    context.parallel((count + kPiece - 1) / kPiece, [&](int64_t i) {
        const int64_t start = i * kPiece, rest = count - start;
        part(from + start, to + start, rest < kPiece ? rest : kPiece);
    });
}

// Half-precision tensors are converted and the kernel runs in float: a CPU calculates no faster in half.
template <class Op>
void run_cpu(Call call, DType dtype, Context& context) {
    if (dtype == DType::kFloat) return Op::cpu(call, context);
    std::array<Tensor, static_cast<size_t>(Op::inputs)> inputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
        const Tensor& half = call.inputs[i];
        if (input_dtype<Op>(dtype, i) == DType::kFloat) {
            inputs[i] = half;
            continue;
        }
        float* data = context.allocate_array<float>(half.size());
        convert(to_float, half.as<const Half>(), data, half.size(), context);
        inputs[i] = {data, half.shape};
    }
    const Tensor half = call.output;
    call.inputs = inputs.data();
    call.output.data = context.allocate_array<float>(half.size());
    Op::cpu(call, context);
    convert(to_half, call.output.as<const float>(), half.as<Half>(), half.size(), context);
}

}  // namespace detforge
