#include "find.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "../deploy/native/nms.h"
#include "../deploy/native/select.h"

namespace detforge {
namespace {

[[noreturn]] void misfit(const std::string& what) {
    throw std::runtime_error("the model " + what + "; the file was changed after its export; export it again");
}

// The output of this name, in floats, with this many axes and, where `last` is not 0, this last one.
const Output& need(const Outputs& outputs, const std::string& name, size_t rank, int64_t last = 0) {
    const auto found = outputs.find(name);
    if (found == outputs.end()) misfit("lacks the output " + name);
    const Output& output = found->second;
    if (output.values == nullptr) misfit("gives " + name + " in whole numbers");
    if (output.shape.size() != rank || (last != 0 && output.shape.back() != last)) misfit("gives " + name + " of another shape");
    return output;
}

// The output of this name, in whole numbers.
const std::vector<int64_t>& need_whole(const Outputs& outputs, const std::string& name, size_t count) {
    const auto found = outputs.find(name);
    if (found == outputs.end()) misfit("lacks the output " + name);
    if (found->second.whole.size() != count) misfit("gives " + name + " of another number or type");
    return found->second.whole;
}

struct Limits {
    float left, top, right, bottom;
};

// Where the Card clips boxes, in px of the resized image.
Limits limits_of(const std::string& clip, const Frame& frame) {
    const bool of_canvas = clip == "canvas" || clip == "last_canvas_pixel";
    const Size& size = of_canvas ? frame.canvas : frame.resized;
    const float last = clip == "last_pixel" || clip == "last_canvas_pixel" ? 1.0f : 0.0f;
    const float left = of_canvas ? -static_cast<float>(frame.left) : 0.0f, top = of_canvas ? -static_cast<float>(frame.top) : 0.0f;
    return {left, top, left + static_cast<float>(size[1]) - last, top + static_cast<float>(size[0]) - last};
}

// Collects rows of the outputs, in px of the resized image.
class Collector {
  public:
    Collector(const Card& card, const Frame& frame, const Outputs& outputs, size_t rows)
        : card_(card), left_(static_cast<float>(frame.left)), top_(static_cast<float>(frame.top)),
          limits_(limits_of(card.form.clip, frame)) {
        if (need(outputs, "boxes", 2, 4).shape[0] != static_cast<int64_t>(rows)) misfit("gives boxes of another number");
        boxes_ = need(outputs, "boxes", 2, 4).values;
        if (card.keypoints == 0) return;
        const auto count = static_cast<int64_t>(card.keypoints);
        const Output& places = need(outputs, "keypoints", 2, 2 * count);
        const Output* parts = outputs.count("keypoint_scores") == 0 ? nullptr : &need(outputs, "keypoint_scores", 2, count);
        places_ = places.values;
        parts_ = parts == nullptr ? nullptr : parts->values;
        if (places.shape[0] != static_cast<int64_t>(rows) || (parts != nullptr && parts->shape[0] != static_cast<int64_t>(rows))) {
            misfit("gives keypoints of another number");
        }
    }

    // Adds a row, unless its box is empty.
    void add(size_t row, float score, int64_t label, const float* quality) {
        const float* box = boxes_ + 4 * row;
        float corners[4] = {box[0] - left_, box[1] - top_, box[2] - left_, box[3] - top_};
        if (card_.form.clip != "none") {
            for (size_t i = 0; i < 4; ++i) {
                const float low = i % 2 ? limits_.top : limits_.left, high = i % 2 ? limits_.bottom : limits_.right;
                corners[i] = std::min(std::max(corners[i], low), high);
            }
        }
        const float more = card_.suppress.inclusive ? 1.0f : 0.0f;
        const bool has_area = corners[2] - corners[0] + more > 0 && corners[3] - corners[1] + more > 0;
        const bool may_be_empty = card_.form.kind == "peaks" || (card_.form.kind == "dense" && card_.suppress.clips);
        if (!has_area && !may_be_empty) return;
        if (label < 0 || label >= static_cast<int64_t>(card_.labels.size())) {
            misfit("gives the label " + std::to_string(label) + ", which its Card lacks");
        }
        found.boxes.insert(found.boxes.end(), corners, corners + 4);
        found.scores.push_back(score);
        found.labels.push_back(label);
        if (quality != nullptr) found.quality.push_back(*quality);
        for (size_t k = 0; k < card_.keypoints; ++k) {
            const float* place = places_ + 2 * (row * card_.keypoints + k);
            const float part = parts_ == nullptr ? score : parts_[row * card_.keypoints + k];
            found.keypoints.insert(found.keypoints.end(), {place[0] - left_, place[1] - top_, part});
        }
    }

    Found found;

  private:
    const Card& card_;
    float left_, top_;
    Limits limits_;
    const float *boxes_ = nullptr, *places_ = nullptr, *parts_ = nullptr;
};

// The index after the last anchor of each level, or of all.
std::vector<size_t> level_ends(const FormRule& form, const Frame& frame, size_t points) {
    if (form.strides.empty()) return {points};
    std::vector<size_t> ends;
    int64_t end = 0;
    for (size_t i = 0; i < form.strides.size(); ++i) {
        const int64_t stride = form.strides[i], floor = form.floors.empty() ? 1 : form.floors[i];
        int64_t cells = form.anchors;
        for (const int64_t side : frame.canvas) {
            cells *= form.unpadded ? std::max<int64_t>(0, (side + 1) / stride - 1) : (side / floor + stride / floor - 1) / (stride / floor);
        }
        end += cells;
        ends.push_back(static_cast<size_t>(end));
    }
    if (ends.back() != points) misfit("gives another number of points than its Card's strides");
    if (form.levels_together) return {points};
    return ends;
}

// The class scores and the quality of the classes that have a label, or of the best of them at each point.
struct Chosen {
    std::vector<float> scores, quality;
    std::vector<int64_t> labels;  // of each class, or with `best` of each point
    size_t classes;
    bool best, quality_of_pairs;
};

Chosen choose(const Card& card, const Output& scores, const Output* quality) {
    const auto points = static_cast<size_t>(scores.shape[0]), all = static_cast<size_t>(scores.shape[1]);
    Chosen chosen{};
    for (size_t label = 0; label < all; ++label) {
        if (!card.labels[label].empty()) chosen.labels.push_back(static_cast<int64_t>(label));
    }
    chosen.quality_of_pairs = quality != nullptr && quality->shape.size() == 2;
    chosen.best = card.form.unit == "best";
    const std::vector<int64_t> classes = chosen.labels;
    chosen.classes = chosen.best ? 1 : classes.size();
    if (chosen.best) chosen.labels.resize(points);
    for (size_t point = 0; point < points; ++point) {
        const float* own = scores.values + point * all;
        const auto take = [&](int64_t label) {
            chosen.scores.push_back(own[label]);
            if (chosen.quality_of_pairs) chosen.quality.push_back(quality->values[point * all + static_cast<size_t>(label)]);
        };
        if (chosen.best) {
            const auto better = [&](int64_t a, int64_t b) { return own[a] < own[b]; };
            chosen.labels[point] = *std::max_element(classes.begin(), classes.end(), better);
            take(chosen.labels[point]);
        } else {
            std::for_each(classes.begin(), classes.end(), take);
        }
        if (quality != nullptr && !chosen.quality_of_pairs) chosen.quality.push_back(quality->values[point]);
    }
    return chosen;
}

Found find_dense(const Card& card, const Frame& frame, const Outputs& outputs) {
    const Output& scores = need(outputs, "scores", 2, static_cast<int64_t>(card.labels.size()));
    const auto named = outputs.find("quality");
    const Output* quality = named == outputs.end() ? nullptr : &named->second;
    if (quality != nullptr) {
        const bool is_of_points = quality->shape == std::vector<int64_t>{scores.shape[0]};
        if (quality->values == nullptr || (quality->shape != scores.shape && !is_of_points)) misfit("gives quality of another shape or type");
    }
    const auto points = static_cast<size_t>(scores.shape[0]);
    Collector collector(card, frame, outputs, points);
    const std::vector<size_t> ends = level_ends(card.form, frame, points);
    const Chosen chosen = choose(card, scores, quality);
    const float* qualities = quality == nullptr ? nullptr : chosen.quality.data();
    const FusionRule& fusion = card.fusion;
    const Predictions given{chosen.scores.data(), qualities, chosen.classes, chosen.quality_of_pairs};
    const Rule rule{{static_cast<float>(fusion.score_exponent), static_cast<float>(fusion.quality_exponent)},
                    static_cast<float>(card.suppress.conf),
                    static_cast<size_t>(card.form.top_k),
                    quality != nullptr && fusion.threshold_fused,
                    quality != nullptr && fusion.rank_fused};
    Selector selector(given, rule);
    size_t begin = 0;
    for (const size_t end : ends) {
        card.form.unit == "points" ? selector.points(begin, end) : selector.pairs(begin, end);
        begin = end;
    }
    const Selected selected = selector.take();
    for (size_t i = 0; i < selected.pairs.size(); ++i) {
        const auto pair = static_cast<size_t>(selected.pairs[i]), point = pair / chosen.classes;
        const int64_t label = chosen.labels[chosen.best ? point : pair % chosen.classes];
        collector.add(point, selected.scores[i], label, qualities == nullptr ? nullptr : qualities + (chosen.quality_of_pairs ? pair : point));
    }
    return std::move(collector.found);
}

// The rows of detections that the network gives itself.
Found find_rows(const Card& card, const Frame& frame, const Outputs& outputs) {
    const Output& scores = need(outputs, "scores", 1);
    const int64_t rows = scores.shape[0];
    const std::vector<int64_t>& labels = need_whole(outputs, "labels", static_cast<size_t>(rows));
    const int64_t count = card.form.kind == "graph" ? std::clamp<int64_t>(need_whole(outputs, "num", 1)[0], 0, rows) : rows;
    Collector collector(card, frame, outputs, static_cast<size_t>(rows));
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
        if (scores.values[i] > static_cast<float>(card.suppress.conf)) collector.add(i, scores.values[i], labels[i], nullptr);
    }
    return std::move(collector.found);
}

// The rows `kept` of detections, with new scores if there are any.
Found chosen_rows(const Found& from, const std::vector<int64_t>& kept, const std::vector<float>* scores, size_t keypoints) {
    Found found;
    for (size_t i = 0; i < kept.size(); ++i) {
        const auto row = static_cast<size_t>(kept[i]);
        const auto copy = [&](const std::vector<float>& source, std::vector<float>& to, size_t width) {
            const auto first = source.begin() + static_cast<std::ptrdiff_t>(row * width);
            to.insert(to.end(), first, first + static_cast<std::ptrdiff_t>(width));
        };
        copy(from.boxes, found.boxes, 4);
        copy(from.keypoints, found.keypoints, 3 * keypoints);
        found.scores.push_back(scores == nullptr ? from.scores[row] : (*scores)[i]);
        found.labels.push_back(from.labels[row]);
    }
    return found;
}

Found suppressed(const Card& card, const Found& found) {
    const SuppressRule& rule = card.suppress;
    std::vector<float> boxes = found.boxes;
    if (rule.inclusive) {
        for (size_t i = 0; i < boxes.size(); ++i) boxes[i] += i % 4 >= 2 ? 1.0f : 0.0f;
    }
    static_assert(sizeof(Box) == 4 * sizeof(float));
    const auto* compared = reinterpret_cast<const Box*>(boxes.data());
    const std::vector<int64_t> labels = rule.class_agnostic ? std::vector<int64_t>(found.labels.size(), 0) : found.labels;
    const size_t n = labels.size(), limit = static_cast<size_t>(rule.max_det);
    if (rule.kind == "hard" || rule.kind == "none") {
        const double iou = rule.kind == "none" ? 2.0 : rule.iou;  // no IoU is above 1
        return chosen_rows(found, nms(compared, found.scores.data(), labels.data(), n, iou, limit), nullptr, card.keypoints);
    }
    Scored scored;
    if (rule.kind == "guided") {
        if (found.quality.size() != n) misfit("lacks the output quality");
        scored = guided_nms(compared, found.scores.data(), found.quality.data(), labels.data(), n, rule.iou, limit);
    } else {
        const std::optional<double> sigma = rule.kind == "gaussian" ? std::optional(rule.sigma) : std::nullopt;
        scored = soft_nms(compared, found.scores.data(), labels.data(), n, rule.iou, sigma, static_cast<float>(rule.floor), limit);
    }
    return chosen_rows(found, scored.first, &scored.second, card.keypoints);
}

// The detections with boxes clipped to the resized image, without those outside it.
Found clipped_last(const Found& found, const Frame& frame, size_t keypoints) {
    Found all = found;
    std::vector<int64_t> kept;
    for (size_t row = 0; row < found.labels.size(); ++row) {
        float* box = all.boxes.data() + 4 * row;
        for (size_t i = 0; i < 4; ++i) box[i] = std::min(std::max(box[i], 0.0f), static_cast<float>(frame.resized[i % 2 ? 0 : 1]));
        if (box[2] > box[0] && box[3] > box[1]) kept.push_back(static_cast<int64_t>(row));
    }
    return chosen_rows(all, kept, nullptr, keypoints);
}

// Converts the detections to px of the image, in double as NumPy does.
void scale(Found& found, const Frame& frame, size_t keypoints) {
    if (!frame.factor && frame.image == frame.resized) return;
    double scales[2];
    for (size_t axis = 0; axis < 2; ++axis) {
        const size_t side = 1 - axis;  // sizes are (height, width), points x and y
        scales[axis] = frame.factor ? 1 / *frame.factor : static_cast<double>(frame.image[side]) / static_cast<double>(frame.resized[side]);
    }
    const auto moved = [&](float& value, size_t axis) { value = static_cast<float>(static_cast<double>(value) * scales[axis] + 0.0); };
    for (size_t i = 0; i < found.boxes.size(); ++i) moved(found.boxes[i], i % 2);
    for (size_t i = 0; keypoints != 0 && i < found.keypoints.size(); i += 3) {
        moved(found.keypoints[i], 0);
        moved(found.keypoints[i + 1], 1);
    }
}

}  // namespace

std::vector<std::string> outputs_read(const Card& card) {
    std::vector<std::string> names{"boxes", "scores"};
    if (card.form.kind == "dense") names.emplace_back("quality");
    if (card.form.kind != "dense") names.emplace_back("labels");
    if (card.form.kind == "graph") names.emplace_back("num");
    if (card.keypoints != 0) names.insert(names.end(), {"keypoints", "keypoint_scores"});
    return names;
}

Found find_detections(const Card& card, const Frame& frame, const Outputs& outputs) {
    const Found candidates = card.form.kind == "dense" ? find_dense(card, frame, outputs) : find_rows(card, frame, outputs);
    Found found = suppressed(card, candidates);
    if (card.suppress.clips) found = clipped_last(found, frame, card.keypoints);
    scale(found, frame, card.keypoints);
    return found;
}

}  // namespace detforge
