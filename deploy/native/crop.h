// Warps a rectangle of uint8 HWC pixels to a normalised float32 CHW canvas in one pass.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace detforge {

// Positions of the canvas's columns or rows in the image: between pixel `at` and the next, whose weight is `weight` /
// 32.
struct Axis {
    std::vector<int64_t> at;
    std::vector<uint16_t> weight;
    size_t begin, end;  // the part of the canvas that the image covers

    // Pixel i of the canvas is at step * i + origin in an image of `pixels`. Positions are rounded as by OpenCV 4's
    // warpAffine: to 1/1024 px, where step and origin of columns are rounded `apart`, then to 1/32 px.
    Axis(double step, double origin, size_t count, size_t pixels, bool apart)
        : at(count), weight(count), begin(count), end(0) {
        for (size_t i = 0; i < count; ++i) {
            const double way = step * static_cast<double>(i);
            const int64_t fine = apart ? std::llrint(way * 1024) + std::llrint(origin * 1024)
                                       : std::llrint((way + origin) * 1024);
            const int64_t place = (fine + 16) >> 5;
            at[i] = place >> 5;
            weight[i] = static_cast<uint16_t>(place & 31);
            if (at[i] < -1 || at[i] >= static_cast<int64_t>(pixels)) continue;
            begin = std::min(begin, i);
            end = i + 1;
        }
    }
};

// The normalised values of the levels 0..255. They are divided, not multiplied by a reciprocal, as in resize.h.
struct Levels {
    float of[256];
    Levels(float mean, float std) {
        for (int level = 0; level < 256; ++level) of[level] = (static_cast<float>(level) - mean) / std;
    }
};

class Cropper {
public:
    Cropper(const uint8_t* image, size_t height, size_t width, const int channel[3], const float mean[3],
            const float std[3])
        : image_(image), height_(static_cast<int64_t>(height)), width_(static_cast<int64_t>(width)),
          channel_{channel[0], channel[1], channel[2]},
          levels_{{mean[0], std[0]}, {mean[1], std[1]}, {mean[2], std[2]}} {}

    // Fills a canvas (3, height, width). The matrix (2, 3) maps canvas px to image px, without rotation or mirroring.
    void operator()(const double* matrix, float* canvas, size_t height, size_t width) {
        const Axis columns(matrix[0], matrix[2], width, static_cast<size_t>(width_), true);
        const Axis rows(matrix[4], matrix[5], height, static_cast<size_t>(height_), false);
        const bool empty = columns.begin >= columns.end;
        for (size_t y = 0; y < height; ++y) {
            if (empty || y < rows.begin || y >= rows.end) {
                black(canvas + y * width, height * width, 0, width);
                continue;
            }
            blend(rows.at[y], rows.weight[y], columns.at[columns.begin], columns.at[columns.end - 1] + 1);
            black(canvas + y * width, height * width, 0, columns.begin);
            sample(columns, canvas + y * width, height * width);
            black(canvas + y * width, height * width, columns.end, width);
        }
    }

private:
    void black(float* row, size_t plane, size_t begin, size_t end) const {
        for (int c = 0; c < 3; ++c) std::fill(row + c * plane + begin, row + c * plane + end, levels_[c].of[0]);
    }

    // Blends pixels first..last of two rows, times 32, into `blended_`; black outside the image.
    void blend(int64_t row, uint16_t weight, int64_t first, int64_t last) {
        blended_.assign(static_cast<size_t>(last - first + 1) * 3, 0);
        const int64_t begin = std::max<int64_t>(first, 0), end = std::min(last + 1, width_);
        // A row outside the image is replaced by the other row with weight 0.
        const uint16_t below = row + 1 < height_ ? weight : 0, above = row >= 0 ? 32 - weight : 0;
        const uint8_t* a = image_ + (std::max<int64_t>(row, 0) * width_ + begin) * 3;
        const uint8_t* b = image_ + (std::min(row + 1, height_ - 1) * width_ + begin) * 3;
        uint16_t* out = blended_.data() + (begin - first) * 3;
        const size_t count = static_cast<size_t>(end - begin) * 3;
        for (size_t i = 0; i < count; ++i) out[i] = static_cast<uint16_t>(a[i] * above + b[i] * below);
    }

    void sample(const Axis& columns, float* row, size_t plane) const {
        const int64_t first = columns.at[columns.begin];
        const auto level = [](const Levels& levels, uint32_t left, uint32_t right, uint32_t weight) {
            return levels.of[(left * (32 - weight) + right * weight + 512) >> 10];
        };
        const int c0 = channel_[0], c1 = channel_[1], c2 = channel_[2];
        for (size_t x = columns.begin; x < columns.end; ++x) {
            const uint16_t* pixel = blended_.data() + (columns.at[x] - first) * 3;
            const uint32_t weight = columns.weight[x];
            row[x] = level(levels_[0], pixel[c0], pixel[c0 + 3], weight);
            row[plane + x] = level(levels_[1], pixel[c1], pixel[c1 + 3], weight);
            row[2 * plane + x] = level(levels_[2], pixel[c2], pixel[c2 + 3], weight);
        }
    }

    const uint8_t* image_;
    int64_t height_, width_;
    int channel_[3];
    Levels levels_[3];
    std::vector<uint16_t> blended_;
};

}  // namespace detforge
