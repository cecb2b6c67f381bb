#include "../core/regions_cpu.h"
#include "kernel.h"

namespace detforge {

void bezier_align_cpu(const Call& call, int levels, Context& context) {
    pool_regions(call, levels, BezierRule(call, levels), call.attributes[0], call.attributes[1], context);
}

}  // namespace detforge
