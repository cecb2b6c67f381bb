#include "../core/regions_cpu.h"
#include "kernel.h"

namespace detforge {

void deform_roi_pool_cpu(const Call& call, int levels, Context& context) {
    pool_regions(call, levels, DeformRoiRule(call, levels), call.attributes[0], call.attributes[1], context);
}

}  // namespace detforge
