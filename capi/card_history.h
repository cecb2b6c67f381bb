// Converts Cards of older schemas to the current one, as deploy/card_history.py does.
#pragma once

#include <string>
#include <utility>

#include "json.h"

namespace detforge {

constexpr int kSchema = 2;

inline bool is(const Json& json, const char* text) {
    const std::string* own = json.as<std::string>();
    return own != nullptr && *own == text;
}

// Takes a field out of an object. Null without it, which the reader of the Card refuses where a value is needed.
inline Json taken(JsonObject& from, const char* name) {
    const auto found = from.find(name);
    if (found == from.end()) return {nullptr};
    Json value = std::move(found->second);
    from.erase(found);
    return value;
}

inline JsonObject object_of(Json json) {
    JsonObject* object = std::get_if<JsonObject>(&json.value);
    if (object == nullptr) throw std::runtime_error("its Card does not fit its schema 1");
    return std::move(*object);
}

inline Json input_from_1(JsonObject rest) {
    const Json resize = taken(rest, "resize"), size = taken(rest, "size");
    JsonObject pad, place;
    pad["multiple"] = taken(rest, "pad_multiple");
    pad["rule"] = taken(rest, "pad_to");
    pad["centered"] = taken(rest, "centered");
    pad["value"] = taken(rest, "pad_value");
    for (const char* unread : {"enlarge", "spacing", "layout"}) taken(rest, unread);
    const bool is_resize = !is(resize, "crop") && !is(resize, "warp");
    pad["canvas"] = is(resize, "canvas") ? size : Json{nullptr};
    place["kind"] = is_resize ? Json{std::string("resize")} : resize;
    place["size"] = size;
    place["by"] = {std::string(is(resize, "edges") ? "edges" : "sides")};
    place["pad"] = {std::move(pad)};
    rest["kind"] = {std::string("image")};
    rest["place"] = {std::move(place)};
    return {std::move(rest)};
}

// Splits `input` into `inputs`, renames `decode` to `form`, and moves clipping out of `suppress`.
inline JsonObject card_from_1(JsonObject card) {
    JsonObject form = object_of(taken(card, "decode"));
    taken(card, "task");
    const JsonObject suppress = object_of(card["suppress"]);
    if (is(form["kind"], "dense") || is(form["kind"], "graph")) {
        const auto inclusive = suppress.find("inclusive");
        const bool* counts = inclusive == suppress.end() ? nullptr : inclusive->second.as<bool>();
        form["clip"] = {std::string(counts != nullptr && *counts ? "last_pixel" : "image")};
    }
    card["inputs"] = {JsonList{input_from_1(object_of(taken(card, "input")))}};
    card["form"] = {std::move(form)};
    card["schema"] = {static_cast<double>(kSchema)};
    return card;
}

}  // namespace detforge
