// Pixels to network inputs and maps to other sizes, against bilinear samples in double precision.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "../../deploy/native/blend.h"
#include "../../deploy/native/crop.h"
#include "../../deploy/native/resize.h"
#include "fuzz.h"

namespace {

using namespace detforge;
using fuzz::Draw;
using fuzz::require;

struct Image {
    explicit Image(Draw& draw)
        : height(draw.whole(1, 40)), width(draw.whole(1, 40)), pixels(draw.pixels(height * width * 3)) {}

    // Without `held`, what is beyond the border is black.
    double level(double x, double y, size_t channel, bool held) const {
        const double last_x = static_cast<double>(width) - 1, last_y = static_cast<double>(height) - 1;
        if (held) x = std::clamp(x, 0.0, last_x), y = std::clamp(y, 0.0, last_y);
        if (!(x > -1 && x < last_x + 1 && y > -1 && y < last_y + 1)) return 0;
        const double left = std::floor(x), top = std::floor(y);
        double sum = 0;
        for (const double row : {top, top + 1}) {
            for (const double column : {left, left + 1}) {
                if (row < 0 || row > last_y || column < 0 || column > last_x) continue;
                const size_t pixel = static_cast<size_t>(row) * width + static_cast<size_t>(column);
                sum += pixels[pixel * 3 + channel] * (1 - std::abs(x - column)) * (1 - std::abs(y - row));
            }
        }
        return sum;
    }

    size_t height, width;
    std::vector<uint8_t> pixels;
};

Planes shades(Draw& draw) {
    Planes planes{};
    const bool swap = draw.flag();
    planes.channel = {swap ? 2 : 0, 1, swap ? 0 : 2};
    for (size_t c = 0; c < 3; ++c) {
        planes.mean[c] = draw.whole<float>(0, 255);
        planes.std[c] = draw.whole<float>(1, 255);
        planes.fill[c] = draw.whole<float>(0, 255);
    }
    return planes;
}

float as_float(float value) { return value; }
float as_float(uint8_t value) { return value; }
float as_float(Half value) {
    float converted;
    to_float(&value, &converted, 1);
    return converted;
}

template <typename T>
void resized(Draw& draw) {
    const Image image(draw);
    const Planes planes = shades(draw);
    Layout layout{0, 0, draw.whole(0, 8), draw.whole(0, 8), draw.whole(1, 50), draw.whole(1, 50)};
    layout.canvas_height = layout.top + layout.height + draw.whole(0, 8);
    layout.canvas_width = layout.left + layout.width + draw.whole(0, 8);
    std::vector<T> canvas(3 * layout.canvas_height * layout.canvas_width);
    resize(image.pixels.data(), image.height, image.width, canvas.data(), layout, planes, 1);
    const double down = static_cast<double>(image.height) / static_cast<double>(layout.height);
    const double right = static_cast<double>(image.width) / static_cast<double>(layout.width);
    for (size_t i = 0; i < canvas.size(); ++i) {
        const size_t c = i / layout.canvas_width / layout.canvas_height;
        const size_t y = i / layout.canvas_width % layout.canvas_height - layout.top;
        const size_t x = i % layout.canvas_width - layout.left;
        double expected = planes.fill[c], most = 0.1;  // rounding to half precision
        if (y < layout.height && x < layout.width) {
            const double level = image.level((static_cast<double>(x) + 0.5) * right - 0.5,
                                             (static_cast<double>(y) + 0.5) * down - 0.5, planes.channel[c], true);
            expected = (level - planes.mean[c]) / planes.std[c];
            most += 1 / planes.std[c];
        }
        if constexpr (std::is_same_v<T, uint8_t>) expected = std::clamp(expected, 0.0, 255.0), most += 0.5;
        require(std::abs(as_float(canvas[i]) - expected) <= most, "a canvas has the image's levels and its fill");
    }
}

void cropped(Draw& draw) {
    const Image image(draw);
    const Planes planes = shades(draw);
    const size_t height = draw.whole(0, 40), width = draw.whole(0, draw.pick({40, 40, 40, 12000}));
    double matrix[6] = {};
    for (const int step : {0, 4}) matrix[step] = draw.values<double>(1, 0, draw.pick({0.1, 1.0, 30.0, 1e12}))[0];
    for (const int origin : {2, 5}) matrix[origin] = draw.values<double>(1, -50, 50)[0];
    const auto fits = [](double step, double origin, size_t count) {
        return step >= 0 && step * static_cast<double>(count) < 1e12 && std::abs(origin) < 1e12;
    };
    if (!fits(matrix[0], matrix[2], width) || !fits(matrix[4], matrix[5], height)) return;
    std::vector<float> canvas(3 * height * width);
    Cropper cropper(image.pixels.data(), image.height, image.width, planes.channel.data(), planes.mean.data(),
                    planes.std.data());
    cropper(matrix, canvas.data(), height, width);
    for (size_t i = 0; i < canvas.size(); ++i) {
        const size_t c = i / width / height, y = i / width % height, x = i % width;
        const double level = image.level(matrix[0] * static_cast<double>(x) + matrix[2],
                                         matrix[4] * static_cast<double>(y) + matrix[5], planes.channel[c], false);
        // Places are rounded to 1/32 px, and levels to whole ones.
        const double most = (255 * 2 / 60.0 + 1) / planes.std[c];
        const double expected = (level - planes.mean[c]) / planes.std[c];
        require(std::abs(canvas[i] - expected) <= most, "a crop has the image's levels");
    }
}

void blended(Draw& draw) {
    const ptrdiff_t h = draw.whole(1, 30), w = draw.whole(1, 30);
    const ptrdiff_t target_h = draw.whole(1, 30), target_w = draw.whole(1, 30);
    const auto affine = [&] { return std::pair(draw.pick({0.0, 0.5, 1.0, -1.0, 0.37, -2.1, 1e9}), draw.pick({0.0, -0.25, 7.3, 1e9})); };
    const auto rows = affine(), columns = affine();
    const std::vector<float> source = draw.values<float>(h * w, -1, 1);
    std::vector<float> target(target_h * target_w);
    const Samples down(h, target_h, rows.first, rows.second), across(w, target_w, columns.first, columns.second);
    Blend(h, w, down, across)(source.data(), target.data(), -1);
    if (!std::all_of(source.begin(), source.end(), [](float value) { return std::abs(value) <= 1; })) return;
    const auto place = [](double i, const std::pair<double, double>& axis, double from) {
        return std::clamp(axis.first * i + axis.second, 0.0, from - 1);
    };
    for (ptrdiff_t i = 0; i < target_h * target_w; ++i) {
        const double y = place(i / target_w, rows, h), x = place(i % target_w, columns, w);
        double expected = 0;
        for (ptrdiff_t j = 0; j < h * w; ++j) {
            const double below = std::abs(y - j / w), right = std::abs(x - j % w);
            if (below < 1 && right < 1) expected -= source[j] * (1 - below) * (1 - right);
        }
        require(std::abs(target[i] - expected) < 1e-4, "a map of another size has bilinear samples");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Draw draw(data, size);
    draw.pick({resized<float>, resized<Half>, resized<uint8_t>, cropped, blended})(draw);
    return 0;
}
