// The votes of pixels for the points to which their vectors lead, against a plain definition of them.
#include <cmath>
#include <cstdint>
#include <vector>

#include "../../deploy/native/line_votes.h"
#include "fuzz.h"

using namespace detforge;
using fuzz::Draw;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Draw draw(data, size);
    const size_t pixels = draw.whole(1, 40), points = draw.whole(1, 4), rounds = draw.whole(1, 12);
    const std::vector<float> places = draw.values<float>(2 * pixels, -20, 20);
    const std::vector<float> vectors = draw.values<float>(2 * pixels * points, -2, 2);
    std::vector<int64_t> pairs(2 * rounds * points);
    for (int64_t& pixel : pairs) pixel = draw.whole<int64_t>(0, pixels - 1);
    std::vector<float> hypotheses(2 * rounds * points);
    std::vector<int32_t> counts(rounds * points);
    for (size_t k = 0; k < points; ++k) {
        vote_lines(places.data(), vectors.data() + 2 * k, pixels, points, pairs.data() + 2 * k, rounds, 0.9f,
                   hypotheses.data() + 2 * k, counts.data() + k);
    }
    for (size_t i = 0; i < rounds * points; ++i) {
        const double x = hypotheses[2 * i], y = hypotheses[2 * i + 1];
        int32_t least = 0, most = 0;  // without and with those at the limit
        for (size_t p = 0; p < pixels; ++p) {
            const size_t at = p * points + i % points;
            const double u = vectors[2 * at], v = vectors[2 * at + 1], dx = x - places[2 * p], dy = y - places[2 * p + 1];
            const double cosine = (u * dx + v * dy) / (std::hypot(u, v) * std::hypot(dx, dy));
            const bool is_clear = std::hypot(u, v) > 1e-4 && std::hypot(dx, dy) > 1e-4 && std::hypot(u, v) < 1e15 &&
                                  std::hypot(dx, dy) < 1e15;
            least += is_clear && cosine > 0.9 + 1e-4;
            most += !is_clear || cosine > 0.9 - 1e-4;
        }
        require(least <= counts[i] && counts[i] <= most, "who points to a hypothesis votes for it");
    }
    return 0;
}
