// The kernel of core/regions_device.h with the taps of precise RoI pooling: (ceil(bin) + 2)^2 of 256 channels for each
// bin, where RoIAlign with adaptive sampling has 4 ceil(bin)^2. Memory traffic as of ../roi_align/cuda.cu. Not measured
// here.
#include "../core/regions_device.h"
#include "kernel.h"

namespace detforge {

int prroi_pool_cuda(const Call& call, int levels, DType dtype, void* workspace, void* stream) {
    const PrRoiRule rule(call, levels);
    return with_type(dtype, [&](auto zero) {
        return launch_regions<decltype(zero)>(call, levels, rule, call.attributes[0], call.attributes[1], workspace,
                                              stream);
    });
}

}  // namespace detforge
