// Cards and outputs of any kind in the C library: refused in one line, or detections that hold together.
#include <stdexcept>
#include <string>
#include <vector>

#include "../../capi/canvas.h"
#include "../../capi/find.h"
#include "fuzz.h"

namespace {

using namespace detforge;
using fuzz::Draw;
using fuzz::require;

const char* const kNew =
    R"({"schema": 2, "model": "m", "provenance": {}, "labels": ["a", "", "b"], "ops": [], "colors": [],
"inputs": [{"kind": "image", "name": "image", "color": "rgb", "mean": [1, 2, 3.5], "std": [1, 1, 1],
"place": {"kind": "resize", "size": [40, 48], "by": "edges", "filter": "antialias", "inverse": "factor",
"pad": {"multiple": 16, "rule": "or", "centered": true, "value": 114, "canvas": null}}}, {"kind": "size"}],
"form": {"kind": "dense", "strides": [8, 16], "anchors": 1, "top_k": 9, "unit": "best", "clip": "last_pixel"},
"fusion": {"score_exponent": 0.5, "quality_exponent": 0.5, "rank_by": "fused", "threshold_by": "fused"},
"suppress": {"kind": "gaussian", "conf": 0.1, "iou": 0.5, "max_det": 7, "inclusive": true, "clips": true},
"skeleton": {"keypoints": ["x", "y"]}})";
const char* const kOld =
    R"({"schema": 1, "model": "m\u00e9", "provenance": {}, "labels": ["a"], "task": "detection", "decode": {"kind": "graph"},
"input": {"resize": "canvas", "size": [32, 32], "pad_multiple": 1, "color": "bgr", "mean": [0, 0, 0], "std": [1, 1, 1]},
"suppress": {"kind": "none", "inclusive": false}})";

// A Card with some of its bytes changed, or pieces of it exchanged.
std::string card_text(Draw& draw) {
    std::string text = draw.pick({kNew, kOld});
    for (size_t changes = draw.whole(0, 3); changes > 0 && !text.empty(); --changes) {
        const size_t at = draw.whole(0, text.size() - 1), length = draw.whole(0, 9);
        const std::string piece = draw.pick({"0", "-1", "1e9", "null", "[]", "{}", "\"none\"", "\"hard\"", "true", "\\ud800", "\"", "["});
        text = draw.flag() ? text.replace(at, length, piece) : text.replace(at, 1, 1, static_cast<char>(draw.byte()));
    }
    return text;
}

Outputs outputs_for(Draw& draw, const Card& card, std::vector<std::vector<float>>& kept) {
    Outputs outputs;
    const auto rows = static_cast<int64_t>(draw.flag() ? 30 : draw.whole(0, 40)), labels = static_cast<int64_t>(card.labels.size());
    const auto add = [&](const char* name, std::vector<int64_t> shape) {
        if (draw.byte() == 0) shape.push_back(2);
        size_t size = 1;
        for (const int64_t side : shape) size *= static_cast<size_t>(side);
        kept.push_back(draw.values<float>(size, -10, 60));
        kept.back().reserve(1);
        for (float& value : kept.back()) value = std::isfinite(value) ? value : 0.f;  // as the library does before
        outputs[name] = {shape, draw.byte() == 0 ? nullptr : kept.back().data(), {}};  // or whole numbers
    };
    const bool is_dense = card.form.kind == "dense";
    add("boxes", {rows, 4});
    is_dense ? add("scores", {rows, labels}) : add("scores", {rows});
    if (is_dense && draw.flag()) draw.flag() ? add("quality", {rows}) : add("quality", {rows, labels});
    add("keypoints", {rows, 2 * static_cast<int64_t>(card.keypoints)});
    if (draw.flag()) add("keypoint_scores", {rows, static_cast<int64_t>(card.keypoints)});
    outputs["labels"] = {{rows}, nullptr, std::vector<int64_t>(static_cast<size_t>(rows), draw.whole<int64_t>(-1, labels))};
    outputs["num"] = {{}, nullptr, {draw.pick<int64_t>({0, 5, rows, INT64_MAX, INT64_MIN})}};
    return outputs;
}

void run(Draw& draw, const Card& card) {
    const Size size{draw.whole<int64_t>(1, 70), draw.whole<int64_t>(1, 70)};
    const Frame frame = frame_of(card.images[0].place, size);
    require(frame.top >= 0 && frame.left >= 0, "the image lies on its canvas");
    if (frame.canvas[0] * frame.canvas[1] > 1 << 16) return;
    const std::vector<uint8_t> pixels(static_cast<size_t>(3 * size[0] * size[1]), draw.byte());
    const auto fill = [&](auto value) {
        std::vector<decltype(value)> canvas(static_cast<size_t>(3 * frame.canvas[0] * frame.canvas[1]));
        fill_canvas(card.images[0], frame, pixels.data(), canvas.data(), 1);
    };
    draw.flag() ? fill(0.f) : fill(uint8_t{0});
    std::vector<std::vector<float>> kept;
    kept.reserve(8);
    const Outputs outputs = outputs_for(draw, card, kept);
    const Found found = find_detections(card, frame, outputs);
    const size_t count = found.labels.size();
    require(count <= static_cast<size_t>(card.suppress.max_det), "no more than max_det");
    require(found.boxes.size() == 4 * count && found.scores.size() == count, "a box and a score of each");
    require(found.keypoints.size() == 3 * count * card.keypoints, "keypoints of each");
    for (const int64_t label : found.labels) require(label >= 0 && static_cast<size_t>(label) < card.labels.size(), "a known label");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        JsonReader::read({reinterpret_cast<const char*>(data), size});
    } catch (const std::runtime_error&) {
    }
    Draw draw(data, size);
    try {
        const Card card = read_card(card_text(draw));
        for (int i = 0; i < 4; ++i) {
            try {
                run(draw, card);
            } catch (const std::runtime_error&) {
            }
        }
    } catch (const std::runtime_error&) {
    }
    return 0;
}
