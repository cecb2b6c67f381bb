// The kernel of core/regions_device.h, with taps of each bin: 4 samples^2 of 256 channels. They are found again for
// every bin where they do not fit into shared memory. Memory traffic as of ../roi_align/cuda.cu. Not measured here.
#include "../core/regions_device.h"
#include "kernel.h"

namespace detforge {

int deform_roi_pool_cuda(const Call& call, int levels, DType dtype, void* workspace, void* stream) {
    const DeformRoiRule rule(call, levels);
    return with_type(dtype, [&](auto zero) {
        return launch_regions<decltype(zero)>(call, levels, rule, call.attributes[0], call.attributes[1], workspace,
                                              stream);
    });
}

}  // namespace detforge
