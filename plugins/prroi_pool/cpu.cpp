#include "../core/regions_cpu.h"
#include "kernel.h"

namespace detforge {

void prroi_pool_cpu(const Call& call, int levels, Context& context) {
    pool_regions(call, levels, PrRoiRule(call, levels), call.attributes[0], call.attributes[1], context);
}

}  // namespace detforge
