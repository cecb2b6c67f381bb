// Plan: an implicit GEMM (cuda_panels.h). x is copied channels last and the weights are laid out (group, output,
// segment, tap, channel) in the workspace, where a segment is the most channels that share their group and offset
// group, filled up with zeros to whole steps. A block makes a tile of 64, 128 or 256 outputs x 128 points, in steps of
// 128 bytes of channels (64 values, 32 of float) at one tap: a panel of weights comes by asynchronous copies, a panel
// of samples is interpolated from 4 pixels in the precision of the call, while the panels before are multiplied. Half
// and bfloat16 multiply on tensor cores, float by plain multiply-adds of up to 8 x 8 outputs and points a thread; sums
// are float. Where the samples lie at 9 taps of the tile is found once and kept in shared memory. Taps follow each
// other fastest, so that the pixels that they share stay in the first-level cache; a pixel outside is a pixel of zeros
// behind x. Where tiles are few, several blocks make a part of the inner dimension each, and the one that comes last
// adds their sums in the order of the parts: results do not depend on chance.
//
// All else (segments that are no whole vectors of 16 bytes, fewer than 16 outputs to a group, a workspace that is not
// aligned) is for a simple kernel (cuda_simple.h): a block takes 128 points and 32 outputs, and 32 channels of one tap
// at a time. A thread samples x as it is, at one point, for all 32 outputs, whose weights lie in shared memory.
//
// For (1, 256, 64, 64), 256 outputs, 3 x 3: 4.8 GFLOP, 7.5 us at the 650 TFLOP/s of a large product on an H200 in half
// precision, 95 us at 51 in float. In half precision with tiles of 256 outputs, a step of a block reads 64 KB of pixels
// and 32 KB of weights and loads 128 KB of matrices from shared memory: 2000 cycles at 128 bytes a cycle, against 1650
// of the tensor cores. Measured there, profiled before the places were found at one point of the code: 8 warps are too
// few to hide the latencies, the tensor cores wait for matrices.
#include "cuda_panels.h"
#include "cuda_simple.h"

namespace detforge {

template <bool kModulated>
size_t DeformConvBase<kModulated>::workspace(const Call& given, DType dtype) {
    const DeformConvCall call = read(given);
    if (!deform_conv::is_for_panels(call, dtype)) return 0;
    return static_cast<size_t>(deform_conv::workspace_of(call, dtype).size);
}

template <bool kModulated>
int DeformConvBase<kModulated>::cuda(const Call& given, DType dtype, void* workspace, void* stream) {
    const DeformConvCall call = read(given);
    if (given.output.size() == 0) return cudaSuccess;
    return with_type(dtype, [&](auto zero) -> int {
        using T = decltype(zero);
        const bool is_aligned = reinterpret_cast<uintptr_t>(workspace) % 16 == 0;
        if (!is_aligned || !deform_conv::is_for_panels(call, dtype)) return deform_conv::simply<T>(call, stream);
        return deform_conv::in_panels<T>(call, dtype, workspace, stream);
    });
}

template size_t DeformConv::DeformConvBase::workspace(const Call&, DType);
template size_t ModulatedDeformConv::DeformConvBase::workspace(const Call&, DType);
template int DeformConv::DeformConvBase::cuda(const Call&, DType, void*, void*);
template int ModulatedDeformConv::DeformConvBase::cuda(const Call&, DType, void*, void*);

}  // namespace detforge
