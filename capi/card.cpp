#include "card.h"

#include <limits>

#include "card_history.h"

namespace detforge {
namespace {

ResizeRule read_place(const Json& json) {
    Fields fields(json, "inputs.place");
    fields.word("kind", "", {"resize"});
    ResizeRule place;
    place.size = fields.sides("size");
    place.by_edges = fields.word("by", "sides", {"sides", "edges"}) == "edges";
    place.keep_aspect = fields.get("keep_aspect", true);
    place.floors = fields.word("rounding", "round", {"round", "floor"}) == "floor";
    place.antialias = fields.word("filter", "opencv", {"opencv", "antialias"}) == "antialias";
    place.inverse = fields.word("inverse", "sizes", {"sizes", "factor", "height"});
    place.least = fields.whole("least", 1, 1, 16384);
    if (place.by_edges && (!place.size || (*place.size)[0] > (*place.size)[1] || !place.keep_aspect)) {
        fields.wrong("size", "a short and a long side");
    }
    if (!place.keep_aspect && place.inverse != "sizes") fields.wrong("inverse", "sizes");
    if (const Json* pad = fields.find("pad")) {
        Fields own(*pad, "inputs.place.pad");
        place.pad.canvas = own.sides("canvas");
        place.pad.multiple = own.whole("multiple", 1, 1, 1024);
        place.pad.rule = own.word("rule", "ceil", {"ceil", "or", "or+1", "nearest"});
        place.pad.centered = own.get("centered", false);
        if (own.find("value") != nullptr) place.pad.value = own.number("value", 0, -1e9, 1e9);
        own.close();
        const bool is_power = (place.pad.multiple & (place.pad.multiple - 1)) == 0;
        if (place.pad.rule.substr(0, 2) == "or" && !is_power) own.wrong("multiple", "a power of two");
        if (place.pad.rule == "nearest" && place.keep_aspect) own.wrong("rule", "a rule that only adds px");
    }
    fields.close();
    return place;
}

void read_input(const Json& json, Card& card) {
    Fields fields(json, "inputs");
    const std::string kind = fields.word("kind", "", {"image", "size"});
    const std::string name = fields.get<std::string>("name", kind == "image" ? "image" : "image_size");
    if (kind == "size") {
        card.sizes.push_back(name);
        return fields.close();
    }
    ImageInput image;
    image.name = name;
    image.place = read_place(fields.need("place"));
    image.rgb = fields.word("color", "", {"rgb", "bgr"}) == "rgb";
    const std::vector<double> mean = fields.numbers("mean"), std = fields.numbers("std");
    if (mean.size() != 3 || std.size() != 3) fields.wrong("mean", "three numbers, as std");
    for (size_t c = 0; c < 3; ++c) {
        if (!(std[c] > 0)) fields.wrong("std", "positive");
        image.mean[c] = mean[c];
        image.std[c] = std[c];
    }
    fields.only_false("second");
    fields.close();
    card.images.push_back(image);
}

FormRule read_form(const Json& json) {
    constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
    Fields fields(json, "form");
    FormRule form;
    form.kind = fields.word("kind", "", {"dense", "graph", "peaks"});
    if (form.kind == "peaks") return fields.close(), form;
    form.clip = fields.word("clip", "image", {"image", "last_pixel", "canvas", "last_canvas_pixel", "none"});
    if (form.kind == "graph") {
        fields.find("paste");  // of masks, which this library leaves out
        return fields.close(), form;
    }
    form.strides = fields.wholes("strides", 1, kMost);
    form.floors = fields.wholes("floors", 1, kMost);
    form.anchors = fields.whole("anchors", 1, 1, 1000);
    form.top_k = fields.whole("top_k", 1000, 1, 100'000);
    form.unit = fields.word("unit", "pairs", {"pairs", "points", "best"});
    form.levels_together = fields.get("levels_together", false);
    form.unpadded = fields.get("unpadded", false);
    if (!form.floors.empty() && (form.floors.size() != form.strides.size() || form.unpadded)) {
        fields.wrong("floors", "one divisor of each stride");
    }
    for (size_t i = 0; i < form.floors.size(); ++i) {
        if (form.strides[i] % form.floors[i] != 0) fields.wrong("floors", "one divisor of each stride");
    }
    fields.close();
    return form;
}

FusionRule read_fusion(const Json& json) {
    Fields fields(json, "fusion");
    FusionRule fusion{};
    fusion.score_exponent = fields.number("score_exponent", 1, 0, 4);
    fusion.quality_exponent = fields.number("quality_exponent", 0, 0, 4);
    fusion.threshold_fused = fields.word("threshold_by", "score", {"score", "fused"}) == "fused";
    fusion.rank_fused = fields.word("rank_by", "score", {"score", "fused"}) == "fused";
    fields.close();
    return fusion;
}

SuppressRule read_suppress(const Json& json) {
    Fields fields(json, "suppress");
    SuppressRule rule{};
    rule.kind = fields.word("kind", "hard", {"hard", "linear", "gaussian", "guided", "none"});
    rule.conf = fields.number("conf", 0.25, 0, 1);
    rule.iou = fields.number("iou", 0.6, 0, 1);
    rule.max_det = fields.whole("max_det", 100, 1, 100'000);
    rule.inclusive = fields.get("inclusive", false);
    rule.sigma = fields.number("sigma", 0.5, std::numeric_limits<double>::min(), std::numeric_limits<double>::max());
    fields.number("oks", 0.9, 0, 1);  // of poses
    rule.class_agnostic = fields.get("class_agnostic", false);
    rule.floor = fields.number("floor", rule.conf, 0, 1);
    fields.only_false("voting");
    fields.only_false("ghosts");
    rule.clips = fields.get("clips", false);
    fields.close();
    return rule;
}

}  // namespace

Card read_card(std::string_view text) {
    Json json = JsonReader::read(text);
    const int64_t schema = Fields(json, "").whole("schema", 0, 1, 1'000'000);
    if (schema > kSchema) throw std::runtime_error("its Card is newer than this library; update detforge");
    if (schema == 1) json = {card_from_1(object_of(json))};
    Fields fields(json, "");
    fields.need("schema");
    Card card;
    const Json empty{JsonObject()};
    fields.need("model");
    fields.need("provenance");
    fields.find("colors");
    fields.find("ops");
    const JsonList* inputs = fields.need("inputs").as<JsonList>();
    if (inputs == nullptr) fields.wrong("inputs", "a list");
    card.form = read_form(fields.need("form"));
    for (const Json& input : *inputs) read_input(input, card);
    if (card.images.size() != 1) fields.wrong("inputs", "one image");
    const Json* fusion = fields.find("fusion");
    const Json* suppress = fields.find("suppress");
    card.fusion = read_fusion(fusion == nullptr ? empty : *fusion);
    card.suppress = read_suppress(suppress == nullptr ? empty : *suppress);
    card.labels = fields.texts("labels");
    bool any = false;
    for (const std::string& label : card.labels) any = any || !label.empty();
    if (!any) fields.wrong("labels", "a list with a label that is not empty");
    if (const Json* skeleton = fields.find("skeleton")) {
        card.keypoints = Fields(*skeleton, "skeleton").texts("keypoints").size();
        if (card.keypoints < 1 || card.keypoints > 4096 || card.form.kind == "peaks") {
            fields.wrong("skeleton", "one of this form");
        }
    }
    fields.close();
    return card;
}

}  // namespace detforge
