// Selection and suppression of boxes, against plain definitions of them.
#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "../../deploy/native/nms.h"
#include "../../deploy/native/select.h"
#include "fuzz.h"

namespace {

using namespace detforge;
using fuzz::Draw;
using fuzz::require;

// Few boxes, or so many that they are looked for by size and place.
struct Given {
    explicit Given(Draw& draw) : boxes(draw.whole(0, draw.pick({16, 16, 16, 600}))) {
        const float scale = draw.pick({8.f, 1000.f, 1e-21f, 1e19f}), part = draw.pick({1.f, 0.1f, 0.02f});
        const std::vector<float> corners = draw.values<float>(4 * boxes.size(), -scale, scale);
        const bool ordered = draw.flag();  // as corners of boxes are, else in any order
        for (size_t i = 0; i < boxes.size(); ++i) {
            const float *at = &corners[4 * i], x = ordered ? at[0] : 0, y = ordered ? at[1] : 0;
            boxes[i] = {at[0], at[1], x + std::abs(at[2]) * part, y + std::abs(at[3]) * part};
        }
        scores = draw.values<float>(boxes.size(), 0, 1);
        const int64_t first = draw.pick<int64_t>({0, -1, INT64_MIN});
        for (size_t i = 0; i < boxes.size(); ++i) labels.push_back(first + draw.whole<int64_t>(0, 2));
    }

    size_t size() const { return boxes.size(); }
    bool meet(int64_t a, int64_t b, double threshold) const {
        return labels[a] == labels[b] && iou(boxes[a], boxes[b]) > threshold;
    }

    std::vector<Box> boxes;
    std::vector<float> scores;
    std::vector<int64_t> labels;
};

double threshold(Draw& draw) { return draw.pick({0.0, 0.02, 1.0 / 3, 0.5, 0.9, 1.0, 2.0}); }
size_t limit(Draw& draw) { return draw.pick<size_t>({0, 1, 7, 1000, SIZE_MAX}); }

std::vector<int64_t> in_order(const std::vector<float>& scores) {
    std::vector<int64_t> order(scores.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return std::isnan(scores[b]) ? !std::isnan(scores[a]) : scores[a] > scores[b];
    });
    return order;
}

void hard(Draw& draw) {
    const Given given(draw);
    const double most_iou = threshold(draw);
    const size_t most = limit(draw);
    std::vector<int64_t> expected;
    for (const int64_t i : in_order(given.scores)) {
        const auto suppresses = [&](int64_t other) { return given.meet(other, i, most_iou); };
        if (expected.size() < most && std::none_of(expected.begin(), expected.end(), suppresses)) expected.push_back(i);
    }
    require(nms(given.boxes.data(), given.scores.data(), given.labels.data(), given.size(), most_iou, most) == expected,
            "NMS keeps what a comparison of all with all keeps");
}

void guided(Draw& draw) {
    const Given given(draw);
    const std::vector<float> quality = draw.values<float>(given.size(), 0, 1);
    const double most_iou = threshold(draw);
    const size_t most = limit(draw);
    const Scored kept = guided_nms(given.boxes.data(), given.scores.data(), quality.data(), given.labels.data(),
                                   given.size(), most_iou, most);
    require(fuzz::are_some_of(kept.first, given.size(), most), "what guided NMS keeps are some of the boxes");
    for (size_t i = 0; i < kept.first.size(); ++i) {
        require(!(kept.second[i] < given.scores[kept.first[i]]), "guided NMS lowers no score");
        require(i == 0 || !(kept.second[i] > kept.second[i - 1]), "guided NMS gives the best first");
        for (size_t j = 0; j < i; ++j) {
            require(!given.meet(kept.first[i], kept.first[j], most_iou), "no two that guided NMS keeps overlap");
        }
    }
}

// The definition: after each that is taken, all others are lowered.
Scored lowered_at_once(const Given& given, double least_iou, std::optional<double> sigma, float floor, size_t most) {
    std::vector<double> scores(given.scores.begin(), given.scores.end());
    Scored kept;
    while (kept.first.size() < most) {
        ptrdiff_t best = -1;
        for (size_t i = 0; i < scores.size(); ++i) {
            if (scores[i] > floor && (best < 0 || scores[i] > scores[best])) best = static_cast<ptrdiff_t>(i);
        }
        if (best < 0) break;
        kept.first.push_back(best);
        kept.second.push_back(static_cast<float>(scores[best]));
        scores[best] = -1;
        for (size_t i = 0; i < scores.size(); ++i) {
            const double overlap = given.labels[best] == given.labels[i] ? iou(given.boxes[best], given.boxes[i]) : 0;
            if (sigma) {
                scores[i] *= std::exp(-overlap * overlap / *sigma);
            } else if (overlap > 0 && overlap >= least_iou) {
                scores[i] *= 1 - overlap;
            }
        }
    }
    return kept;
}

void soft(Draw& draw) {
    const Given given(draw);
    const double least_iou = threshold(draw);
    const std::optional<double> sigma = draw.flag() ? std::optional(draw.pick({1e-3, 0.5, 1e9})) : std::nullopt;
    const float floor = draw.pick({0.f, 1e-3f, 0.25f, 1.f});
    const size_t most = limit(draw);
    const Scored kept = soft_nms(given.boxes.data(), given.scores.data(), given.labels.data(), given.size(), least_iou,
                                 sigma, floor, most);
    require(kept == lowered_at_once(given, least_iou, sigma, floor, most), "soft-NMS lowers as its definition does");
}

// All that passes the threshold, sorted as a whole.
Selected sorted_out(const Predictions& given, const Rule& rule, const std::vector<size_t>& ends, bool points) {
    Selected selected;
    size_t begin = 0;
    for (const size_t end : ends) {
        struct Item {
            float key;
            size_t index;
        };
        std::vector<Item> items;
        const auto fused = [&](size_t pair) {
            return given.quality ? rule.fusion(given.scores[pair], given.quality_of(pair)) : given.scores[pair];
        };
        const auto passes = [&](size_t pair) {
            return (rule.threshold_fused ? fused(pair) : given.scores[pair]) > rule.conf;
        };
        for (size_t point = begin; point < end; ++point) {
            float best = -1;
            for (size_t pair = point * given.classes; pair < (point + 1) * given.classes; ++pair) {
                const float key = rule.rank_fused ? fused(pair) : given.scores[pair];
                best = std::max(best, key);
                if (!points && passes(pair)) items.push_back({key, pair});
            }
            if (points) items.push_back({best, point});
        }
        std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.key > b.key; });
        items.resize(std::min(items.size(), rule.top_k));
        std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.index < b.index; });
        for (const Item& item : items) {
            const size_t first = points ? item.index * given.classes : item.index, count = points ? given.classes : 1;
            for (size_t pair = first; pair < first + count; ++pair) {
                if (!passes(pair)) continue;
                selected.pairs.push_back(static_cast<int64_t>(pair));
                selected.scores.push_back(fused(pair));
            }
        }
        begin = end;
    }
    return selected;
}

void select(Draw& draw) {
    std::vector<size_t> ends;
    for (size_t level = draw.whole(1, 4), end = 0; level > 0; --level) ends.push_back(end += draw.whole(0, 40));
    const size_t n = ends.back(), classes = draw.whole(0, 40);
    const bool has_quality = draw.flag(), of_pairs = has_quality && draw.flag(), points = draw.flag();
    const std::vector<float> scores = draw.values<float>(n * classes, 0, 1);
    const std::vector<float> quality = draw.values<float>(of_pairs ? n * classes : n, 0, 1);
    const Predictions given{scores.data(), has_quality ? quality.data() : nullptr, classes, of_pairs};
    const Fusion fusion{draw.pick({1.f, 0.f, 0.5f, 2.3f}), draw.pick({1.f, 0.f, 0.5f, 4.f})};
    const float conf = draw.pick({0.f, 0.05f, 0.5f, 1.f});
    const size_t top_k = draw.pick<size_t>({1, 2, 20, 1000, SIZE_MAX, SIZE_MAX / 2 + 2});
    const Rule rule{fusion, conf, top_k, has_quality && draw.flag(), has_quality && draw.flag()};
    Selector selector(given, rule);
    size_t begin = 0;
    for (const size_t end : ends) {
        points ? selector.points(begin, end) : selector.pairs(begin, end);
        begin = end;
    }
    const Selected selected = selector.take();
    require(fuzz::are_some_of(selected.pairs, n * classes, SIZE_MAX), "what is selected are some of the pairs");
    require(std::is_sorted(selected.pairs.begin(), selected.pairs.end()), "indices rise");
    // Fusion is for values of 0 to 1.
    const auto are_parts = [](const std::vector<float>& values) {
        return std::all_of(values.begin(), values.end(), [](float value) { return value >= 0 && value <= 1; });
    };
    if (!are_parts(scores) || !are_parts(quality)) return;
    const Selected expected = sorted_out(given, rule, ends, points);
    require(selected.pairs == expected.pairs, "the best of each level are selected");
    require(selected.scores == expected.scores, "scores are fused");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Draw draw(data, size);
    draw.pick({hard, hard, guided, soft, select})(draw);
    return 0;
}
