#include <algorithm>

#include "kernel.h"

namespace detforge {
namespace {

// The positions in `order`, best first, whose boxes stay; gives how many.
int64_t suppress(const NmsBox* boxes, const float* labels, float threshold, int64_t limit, int64_t* order,
                 int64_t count) {
    int64_t kept = 0;
    for (int64_t i = 0; i < count && kept < limit; ++i) {
        const int64_t place = order[i];
        const bool stays = std::none_of(order, order + kept, [&](int64_t other) {
            return labels[other] == labels[place] && suppresses(boxes[other], boxes[place], threshold);
        });
        if (stays) order[kept++] = place;  // kept <= i: what is overwritten has had its turn
    }
    return kept;
}

}  // namespace

void Nms::cpu(const Call& call, Context& context) {
    const int64_t n = call.inputs[1][0], k = call.inputs[1][1], limit = call.attributes[1];
    int64_t* orders = context.allocate_array<int64_t>(n * k);
    context.parallel(n, [&](int64_t image) {
        const auto* boxes = call.inputs[0].as<const NmsBox>() + image * k;
        const float* scores = call.inputs[1].as<const float>() + image * k;
        const float* labels = call.inputs[2].as<const float>() + image * k;
        int64_t *order = orders + image * k, count = 0;
        for (int64_t i = 0; i < k; ++i) {
            if (scores[i] > 0.0f) order[count++] = i;
        }
        std::stable_sort(order, order + count, [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
        count = suppress(boxes, labels, *call.inputs[3].as<const float>(), limit, order, count);
        float* y = call.output.as<float>() + image * k * 2;
        for (int64_t i = 0; i < k; ++i) {
            y[2 * i] = i < count ? scores[order[i]] : 0.0f;
            y[2 * i + 1] = i < count ? static_cast<float>(order[i]) : 0.0f;
        }
    });
}

}  // namespace detforge
