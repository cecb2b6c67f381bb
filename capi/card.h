// The Card of a model file (deploy/card.py), as far as this library runs it.
//
// It is read as strictly as in Python: an unknown field, a wrong type or a value out of range is an error that names the
// field. So is what only Python can run; nothing is left out in silence.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "json.h"

namespace detforge {

// The fields of a JSON object, of which each must be asked for.
class Fields {
  public:
    Fields(const Json& json, std::string path) : path_(std::move(path)), object_(json.as<JsonObject>()) {
        if (object_ == nullptr) wrong("", "an object");
    }

    // The field if it is there and not null, else nullptr.
    const Json* find(const char* name) {
        asked_.insert(name);
        const auto found = object_->find(name);
        return found == object_->end() || found->second.is_null() ? nullptr : &found->second;
    }

    const Json& need(const char* name) {
        const Json* found = find(name);
        if (found == nullptr) wrong(name, "present");
        return *found;
    }

    // A value, or without the field what stands for it.
    template <class T>
    T get(const char* name, const T& otherwise) {
        const Json* found = find(name);
        return found == nullptr ? otherwise : convert<T>(*found, name);
    }

    double number(const char* name, double otherwise, double least, double most) {
        const double value = get(name, otherwise);
        if (!(value >= least && value <= most)) wrong(name, "a number in its range");
        return value;
    }

    int64_t whole(const char* name, int64_t otherwise, int64_t least, int64_t most) {
        const double value = number(name, static_cast<double>(otherwise), static_cast<double>(least), static_cast<double>(most));
        if (value != std::floor(value)) wrong(name, "a whole number");
        return static_cast<int64_t>(value);
    }

    std::vector<int64_t> wholes(const char* name, int64_t least, int64_t most) {
        std::vector<int64_t> values;
        for (const double value : numbers(name)) {
            if (!(value >= static_cast<double>(least) && value <= static_cast<double>(most)) || value != std::floor(value)) {
                wrong(name, "whole numbers in their range");
            }
            values.push_back(static_cast<int64_t>(value));
        }
        return values;
    }

    std::vector<double> numbers(const char* name) { return list<double>(name); }
    std::vector<std::string> texts(const char* name) { return list<std::string>(name); }

    // A pair of sides in px, none without the field.
    std::optional<std::array<int64_t, 2>> sides(const char* name) {
        if (find(name) == nullptr) return std::nullopt;
        const std::vector<int64_t> values = wholes(name, 1, 16384);
        if (values.size() != 2) wrong(name, "two sides");
        return std::array<int64_t, 2>{values[0], values[1]};
    }

    // One of some words; other words that Python knows are named in the error too.
    std::string word(const char* name, const char* otherwise, std::initializer_list<std::string_view> known) {
        const std::string value = get<std::string>(name, otherwise);
        for (const std::string_view each : known) {
            if (value == each) return value;
        }
        throw std::runtime_error("this library does not run a Card with " + place(name) + " '" + value + "'; use detforge in Python");
    }

    void only_false(const char* name) {
        if (get(name, false)) {
            throw std::runtime_error("this library does not run a Card with " + place(name) + "; use detforge in Python");
        }
    }

    // To be called last.
    void close() const {
        for (const auto& [name, value] : *object_) {
            if (asked_.count(name) == 0) wrong(name, "a field that this version knows");
        }
    }

    [[noreturn]] void wrong(std::string_view name, const char* wanted) const {
        throw std::runtime_error("its Card does not parse; " + place(name) + " is not " + wanted +
                                 "; export it again or update detforge");
    }

  private:
    std::string place(std::string_view name) const {
        return "field '" + path_ + (path_.empty() || name.empty() ? "" : ".") + std::string(name) + "'";
    }

    template <class T>
    T convert(const Json& json, const char* name) const {
        const T* value = json.as<T>();
        if (value == nullptr) wrong(name, "of the right type");
        return *value;
    }

    template <class T>
    std::vector<T> list(const char* name) {
        std::vector<T> values;
        const Json* found = find(name);
        if (found == nullptr) return values;
        const JsonList* items = found->as<JsonList>();
        if (items == nullptr) wrong(name, "a list");
        for (const Json& item : *items) values.push_back(convert<T>(item, name));
        return values;
    }

    std::string path_;
    const JsonObject* object_;
    std::set<std::string, std::less<>> asked_;
};

// inputs/resize.py
struct PadRule {
    std::optional<std::array<int64_t, 2>> canvas;
    int64_t multiple = 1;
    std::string rule = "ceil";
    bool centered = false;
    std::optional<double> value;
};

struct ResizeRule {
    std::optional<std::array<int64_t, 2>> size;
    bool by_edges = false, keep_aspect = true, floors = false, antialias = false;
    std::string inverse = "sizes";
    int64_t least = 1;
    PadRule pad;
};

struct ImageInput {
    std::string name;
    bool rgb = false;
    std::array<double, 3> mean{}, std{};
    ResizeRule place;
};

// forms/dense.py, forms/graph.py and forms/peaks.py; the fields are those of Dense.
struct FormRule {
    std::string kind, clip = "none", unit = "pairs";
    std::vector<int64_t> strides, floors;
    int64_t anchors = 1, top_k = 1000;
    bool levels_together = false, unpadded = false;
};

// contract/suppression.py and contract/fusion.py
struct SuppressRule {
    std::string kind;
    double conf, iou, sigma, floor;
    int64_t max_det;
    bool inclusive, class_agnostic, clips;
};

struct FusionRule {
    double score_exponent, quality_exponent;
    bool threshold_fused, rank_fused;
};

struct Card {
    std::vector<ImageInput> images;  // one
    std::vector<std::string> sizes;  // the names of inputs that take the size of the resized image
    FormRule form;
    FusionRule fusion;
    SuppressRule suppress;
    std::vector<std::string> labels;
    size_t keypoints = 0;
};

Card read_card(std::string_view text);

}  // namespace detforge
