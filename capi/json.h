// A reader of JSON (RFC 8259), for Cards. Text is untrusted: what is not JSON throws std::runtime_error.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace detforge {

struct Json;
using JsonList = std::vector<Json>;
using JsonObject = std::map<std::string, Json>;

struct Json {
    std::variant<std::nullptr_t, bool, double, std::string, JsonList, JsonObject> value;

    // The value if it is of this type, else nullptr.
    template <class T>
    const T* as() const {
        return std::get_if<T>(&value);
    }
    bool is_null() const { return as<std::nullptr_t>() != nullptr; }
};

class JsonReader {
  public:
    static Json read(std::string_view text) {
        JsonReader reader(text);
        Json value = reader.value(0);
        if (reader.peek() != '\0' || reader.at_ != text.size()) reader.fail();
        return value;
    }

  private:
    static constexpr int kDeepest = 64;

    explicit JsonReader(std::string_view text) : text_(text) {}

    [[noreturn]] void fail() const {
        throw std::runtime_error("its Card is not JSON at byte " + std::to_string(at_) + "; export it again with detexport");
    }

    // The next byte that is no space; 0 at the end.
    char peek() {
        while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos) ++at_;
        return at_ < text_.size() ? text_[at_] : '\0';
    }

    void take(char wanted) {
        if (peek() != wanted) fail();
        ++at_;
    }

    Json value(int depth) {
        if (depth > kDeepest) fail();
        switch (peek()) {
            case '{': return {object(depth)};
            case '[': return {list(depth)};
            case '"': return {string()};
            case 't': return word("true", {true});
            case 'f': return word("false", {false});
            case 'n': return word("null", {nullptr});
            default: return {number()};
        }
    }

    Json word(std::string_view wanted, Json meant) {
        if (text_.substr(at_, wanted.size()) != wanted) fail();
        at_ += wanted.size();
        return meant;
    }

    double number() {
        double parsed = 0;
        const char* end = text_.data() + text_.size();
        const char* first = text_.data() + at_;
        // from_chars would also read "inf" and "nan".
        if (first == end || (*first != '-' && (*first < '0' || *first > '9'))) fail();
        if (*first == '-' && (first + 1 == end || first[1] < '0' || first[1] > '9')) fail();
        const auto [last, error] = std::from_chars(first, end, parsed);
        if (error != std::errc()) fail();
        at_ += static_cast<size_t>(last - first);
        return parsed;
    }

    JsonList list(int depth) {
        JsonList items;
        take('[');
        if (peek() == ']') return ++at_, items;
        for (;;) {
            items.push_back(value(depth + 1));
            if (peek() == ']') return ++at_, items;
            take(',');
        }
    }

    JsonObject object(int depth) {
        JsonObject fields;
        take('{');
        if (peek() == '}') return ++at_, fields;
        for (;;) {
            if (peek() != '"') fail();
            std::string name = string();
            take(':');
            fields.insert_or_assign(std::move(name), value(depth + 1));  // of equal names the last, as in Python
            if (peek() == '}') return ++at_, fields;
            take(',');
        }
    }

    std::string string() {
        std::string text;
        take('"');
        for (;;) {
            if (at_ >= text_.size() || static_cast<unsigned char>(text_[at_]) < 0x20) fail();
            const char byte = text_[at_++];
            if (byte == '"') return text;
            byte == '\\' ? escape(text) : text.push_back(byte);
        }
    }

    void escape(std::string& text) {
        static constexpr std::string_view kNames = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
        if (at_ >= text_.size()) fail();
        const char name = text_[at_++];
        if (name != 'u') {
            const size_t known = kNames.find(name);
            if (known == std::string_view::npos) fail();
            return text.push_back(kMeant[known]);
        }
        uint32_t code = hex();
        if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {  // a pair of surrogates
            at_ += 2;
            const uint32_t low = hex();
            if (low < 0xDC00 || low > 0xDFFF) fail();
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        }
        encode(code, text);
    }

    uint32_t hex() {
        uint32_t code = 0;
        if (text_.size() - at_ < 4) fail();
        const char* first = text_.data() + at_;
        const auto [last, error] = std::from_chars(first, first + 4, code, 16);
        if (error != std::errc() || last != first + 4) fail();
        at_ += 4;
        return code;
    }

    // Appends a code point in UTF-8.
    static void encode(uint32_t code, std::string& text) {
        const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
        static constexpr uint32_t kHeads[] = {0, 0xC0, 0xE0, 0xF0};
        text.push_back(static_cast<char>(kHeads[more] | code >> (6 * more)));
        for (int i = more - 1; i >= 0; --i) text.push_back(static_cast<char>(0x80 | (code >> (6 * i) & 0x3F)));
    }

    std::string_view text_;
    size_t at_ = 0;
};

}  // namespace detforge
