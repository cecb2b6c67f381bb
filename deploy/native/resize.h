// Resizes, normalises and pads uint8 HWC pixels to a CHW canvas in one pass.
//
// The resize equals OpenCV's 8-bit bilinear resize to the last bit: weights are multiples of 1/2048; columns come
// first, whose sums lose their last 4 bits; then rows, whose products lose 16 bits each. Other rounding would move
// detections.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <type_traits>
#include <vector>

#if defined(__SSE2__) || defined(_M_X64)
#define DETFORGE_SSE2
#include <emmintrin.h>
#endif

#include "../../plugins/core/half.h"
#include "../../plugins/core/simd.h"

namespace detforge {

// Positions of the resized rows or columns: between pixel `at` and the next, with weights `near` and `far` in 1/2048.
struct Taps {
    struct Tap {
        int64_t at;
        int16_t near, far;
    };
    std::vector<Tap> taps;

    Taps(size_t resized, size_t pixels, bool held) {
        const double step = 1 / (static_cast<double>(resized) / static_cast<double>(pixels));
        const auto last = static_cast<int64_t>(pixels) - 1;
        for (size_t i = 0; i < resized; ++i) {
            const auto place = static_cast<float>((static_cast<double>(i) + 0.5) * step - 0.5);
            auto at = static_cast<int64_t>(std::floor(place));
            float far = place - static_cast<float>(at);
            // Columns beyond the first and last pixel take that pixel; rows blend the border pixel with itself.
            if (held && (at < 0 || at >= last)) {
                at = std::clamp<int64_t>(at, 0, last);
                far = 0;
            }
            taps.push_back({at, weight(1 - far), weight(far)});
        }
    }

    static int16_t weight(float part) { return static_cast<int16_t>(std::lrint(part * 2048)); }
};

// The normalisation: plane c is (level of channel[c] - mean[c]) / std[c], and fill[c] around the image. It divides,
// because a product with the reciprocal rounds differently from the reference implementations.
struct Planes {
    std::array<int, 3> channel;
    std::array<float, 3> mean, std, fill;
};

// Converts values to the canvas's type. They are rounded, and clamped to 0..255 for uint8.
inline void store(const float* from, Half* to, size_t count) { to_half(from, to, static_cast<int64_t>(count)); }
DETFORGE_CLONES static void store(const float* from, uint8_t* to, size_t count) {
    for (size_t i = 0; i < count; ++i) to[i] = static_cast<uint8_t>(std::min(std::max(0.f, from[i]), 255.f) + 0.5f);
}

// Blends two rows of sums and normalises the result.
DETFORGE_CLONES static void blend(const int16_t* upper, const int16_t* lower, int16_t near, int16_t far, float mean,
                                  float std, float* values, size_t count) {
    for (size_t x = 0; x < count; ++x) {
        const auto a = static_cast<int16_t>((upper[x] * near) >> 16), b = static_cast<int16_t>((lower[x] * far) >> 16);
        values[x] = (static_cast<float>(static_cast<int16_t>((a + b + 2) >> 2)) - mean) / std;
    }
}

// Fills a range of the canvas's rows in order.
template <typename T>
class Resizer {
public:
    Resizer(const uint8_t* image, size_t height, size_t width, const Taps& rows, const Taps& columns, const Planes& planes)
        : image_(image), height_(static_cast<int64_t>(height)), width_(static_cast<int64_t>(width)), rows_(rows.taps),
          columns_(columns.taps), planes_(planes), stride_((columns_.size() + 7) / 8 * 8), values_(stride_) {
        for (Row& row : kept_) row.sums.resize(3 * stride_);
    }

    // Writes row y of the resized image to each plane.
    void operator()(size_t y, T* row, size_t plane) {
        const Taps::Tap& tap = rows_[y];
        const int64_t above = std::clamp<int64_t>(tap.at, 0, height_ - 1), below = std::clamp<int64_t>(tap.at + 1, 0, height_ - 1);
        const int16_t* upper = sums(above, below);
        const int16_t* lower = sums(below, above);
        for (size_t c = 0; c < 3; ++c) {
            const size_t from = static_cast<size_t>(planes_.channel[c]) * stride_;
            const auto to = [&](float* values) {
                blend(upper + from, lower + from, tap.near, tap.far, planes_.mean[c], planes_.std[c], values, columns_.size());
            };
            if constexpr (std::is_same_v<T, float>) {
                to(row + c * plane);
            } else {
                to(values_.data());
                store(values_.data(), row + c * plane, columns_.size());
            }
        }
    }

private:
    struct Row {
        int64_t at = -1;
        std::vector<int16_t> sums;  // for each plane
    };

    // A row of the image resized to the canvas's columns. It is cached for all rows of the canvas that use it.
    const int16_t* sums(int64_t at, int64_t other) {
        for (Row& row : kept_) {
            if (row.at == at) return row.sums.data();
        }
        Row& row = kept_[0].at == other ? kept_[1] : kept_[0];
        row.at = at;
        const uint8_t* pixels = image_ + at * width_ * 3;
        for (size_t x = quads(pixels, row.sums.data()); x < columns_.size(); ++x) {
            const Taps::Tap& tap = columns_[x];
            const uint8_t* near = pixels + 3 * tap.at;
            const uint8_t* far = tap.at + 1 < width_ ? near + 3 : near;
            for (size_t c = 0; c < 3; ++c) {
                row.sums[c * stride_ + x] = static_cast<int16_t>((near[c] * tap.near + far[c] * tap.far) >> 4);
            }
        }
        return row.sums.data();
    }

#ifdef DETFORGE_SSE2
    // Processes columns four at a time and returns their number. Eight bytes are read for a pixel and the next.
    size_t quads(const uint8_t* pixels, int16_t* sums) const {
        const __m128i zero = _mm_setzero_si128();
        const auto sum = [&](const Taps::Tap& tap) {
            const __m128i both = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(pixels + 3 * tap.at));
            const __m128i pairs = _mm_unpacklo_epi8(both, _mm_srli_epi64(both, 24));  // b b g g r r
            int32_t weights;
            std::memcpy(&weights, &tap.near, sizeof(weights));
            return _mm_srai_epi32(_mm_madd_epi16(_mm_unpacklo_epi8(pairs, zero), _mm_set1_epi32(weights)), 4);
        };
        size_t x = 0;
        for (; x + 4 <= columns_.size() && columns_[x + 3].at * 3 + 8 <= width_ * 3; x += 4) {
            const Taps::Tap* tap = columns_.data() + x;
            const __m128i first = _mm_packs_epi32(sum(tap[0]), sum(tap[1])), last = _mm_packs_epi32(sum(tap[2]), sum(tap[3]));
            const __m128i even = _mm_unpacklo_epi16(first, last), odd = _mm_unpackhi_epi16(first, last);
            const __m128i blue_green = _mm_unpacklo_epi16(even, odd), red = _mm_unpackhi_epi16(even, odd);
            const auto keep = [&](size_t c, __m128i quad) {
                _mm_storel_epi64(reinterpret_cast<__m128i*>(sums + c * stride_ + x), quad);
            };
            keep(0, blue_green);
            keep(1, _mm_unpackhi_epi64(blue_green, blue_green));
            keep(2, red);
        }
        return x;
    }
#else
    size_t quads(const uint8_t*, int16_t*) const { return 0; }
#endif

    const uint8_t* image_;
    int64_t height_, width_;
    const std::vector<Taps::Tap>&rows_, &columns_;
    const Planes& planes_;
    size_t stride_;
    std::vector<float> values_;
    Row kept_[2];
};

// An image (height, width) and the position (top, left) of the resized image on the canvas.
struct Layout {
    size_t canvas_height, canvas_width, top, left, height, width;
};

// The least number of pixels per thread; for fewer, starting a thread costs about as much as it saves.
constexpr size_t kLeastPixels = 1 << 18;

// Fills the whole canvas (3, height, width) with at most this number of threads.
template <typename T>
void resize(const uint8_t* image, size_t height, size_t width, T* canvas, const Layout& layout, const Planes& planes,
            size_t threads) {
    const Taps rows(layout.height, height, false), columns(layout.width, width, true);
    const size_t plane = layout.canvas_height * layout.canvas_width;
    T fill[3];
    for (size_t c = 0; c < 3; ++c) {
        if constexpr (std::is_same_v<T, float>) {
            fill[c] = planes.fill[c];
        } else {
            store(&planes.fill[c], &fill[c], 1);
        }
    }
    const auto band = [&](size_t begin, size_t end) {
        Resizer<T> resizer(image, height, width, rows, columns, planes);
        for (size_t y = begin; y < end; ++y) {
            T* row = canvas + y * layout.canvas_width;
            const bool has_pixels = y >= layout.top && y < layout.top + layout.height;
            const size_t left = has_pixels ? layout.left : layout.canvas_width;
            const size_t right = has_pixels ? layout.left + layout.width : layout.canvas_width;
            for (size_t c = 0; c < 3; ++c) {
                std::fill(row + c * plane, row + c * plane + left, fill[c]);
                std::fill(row + c * plane + right, row + c * plane + layout.canvas_width, fill[c]);
            }
            if (has_pixels) resizer(y - layout.top, row + left, plane);
        }
    };
    const size_t bands = std::clamp<size_t>(plane / kLeastPixels, 1, threads);
    std::vector<std::thread> others;
    for (size_t i = 1; i < bands; ++i) {
        others.emplace_back(band, layout.canvas_height * i / bands, layout.canvas_height * (i + 1) / bands);
    }
    band(0, layout.canvas_height / bands);
    for (std::thread& other : others) other.join();
}

}  // namespace detforge
