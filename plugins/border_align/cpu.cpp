// The copy of x has its channels in blocks of 16. One block of one side is pooled after the other, for all boxes: so
// much of x stays in the second cache, wherever the boxes lie. The samples are found once, before, for all blocks.
// The copy also repeats x's last column and row, so that every pixel has a right and a lower neighbour.

#include <algorithm>
#include <limits>
#include <type_traits>

#include "../core/simd.h"
#include "kernel.h"

namespace detforge {
namespace {

constexpr int64_t kBlock = 16;  // channels
constexpr int64_t kBoxes = 64;  // of one thread's turn
constexpr int64_t kSides = kBorderSides;

// Of the copy (image, block, group, h + 1, w + 1, kBlock), in floats.
struct Strides {
    Strides(int64_t height, int64_t width) : row((width + 1) * kBlock), plane((height + 1) * row) {}
    int64_t row, plane;
};

// A row of `channels` planes of x to a row of pixels; the channels that a block lacks are 0.
template <class Channels>
DETFORGE_INLINE void copy_row(const float* x, float* y, int64_t width, int64_t plane, Channels channels) {
    for (int64_t j = 0; j < width; ++j) {
        for (int64_t c = 0; c < channels; ++c) y[j * kBlock + c] = x[c * plane + j];
        for (int64_t c = channels; c < kBlock; ++c) y[j * kBlock + c] = 0.0f;
    }
    for (int64_t c = 0; c < kBlock; ++c) y[width * kBlock + c] = y[(width - 1) * kBlock + c];
}

DETFORGE_CLONES void copy_row(const float* x, float* y, int64_t width, int64_t plane, int64_t channels) {
    if (channels < kBlock) return copy_row<int64_t>(x, y, width, plane, channels);
    copy_row(x, y, width, plane, std::integral_constant<int64_t, kBlock>());
}

// The samples of a border lie along one axis, and at one place of the other.
struct Line {
    int64_t place;   // on the other axis: a pixel
    float fraction;  // on the other axis: the share of the next pixel
    float lowest;    // what the maximum starts from: 0 once a sample is outside
    int64_t count;   // of samples inside
};

struct Sample {
    int32_t place;
    float fraction;
};

// Not in a function with clones: see along_border.
Line find_samples(const Border& border, bool along_x, int height, int width, const float* steps, int64_t step_count,
                  Sample* samples) {
    const float start = along_x ? border.start_x : border.start_y, run = along_x ? border.run_x : border.run_y;
    const float other = along_x ? border.start_y : border.start_x;
    const int size = along_x ? width : height, other_size = along_x ? height : width;
    if (!is_inside(other, other_size)) return {0, 0.0f, 0.0f, 0};
    const Neighbours place = neighbours(other, other_size);
    Line line{place.low, place.fraction, -std::numeric_limits<float>::infinity(), 0};
    for (int64_t t = 0; t < step_count; ++t) {
        const float position = along_border(start, run, steps[t]);
        if (is_inside(position, size)) {
            const Neighbours sample = neighbours(position, size);
            samples[line.count++] = {sample.low, sample.fraction};
        } else {
            line.lowest = 0.0f;
        }
    }
    return line;
}

// The largest samples of some boxes' lines, for a block of channels. `step` and `other_step` lead to the next pixel.
// The vectors stay in this function: GCC compiles those of inlined functions for the oldest processor.
DETFORGE_CLONES void pool_lines(const float* x, const Line* lines, const Sample* samples, int64_t step_count,
                                int64_t boxes, int64_t step, int64_t other_step, float* pooled) {
    typedef float Vector __attribute__((vector_size(32), may_alias));
    constexpr int kVectors = kBlock / 8;
    for (int64_t box = 0; box < boxes; ++box, pooled += kBlock, samples += kSides * step_count) {
        const Line& line = lines[box * kSides];
        const float other = line.fraction, *from = x + line.place * other_step;
        Vector largest[kVectors];
        for (Vector& each : largest) each = line.lowest - Vector{};
        for (const Sample* sample = samples; sample != samples + line.count; ++sample) {
            const float fraction = sample->fraction, *pixel = from + sample->place * step;
            for (int i = 0; i < kVectors; ++i) {
                const Vector a = *reinterpret_cast<const Vector*>(pixel + i * 8);
                const Vector b = *reinterpret_cast<const Vector*>(pixel + step + i * 8);
                const Vector c = *reinterpret_cast<const Vector*>(pixel + other_step + i * 8);
                const Vector d = *reinterpret_cast<const Vector*>(pixel + step + other_step + i * 8);
                const Vector near = a * (1.0f - other) + c * other, far = b * (1.0f - other) + d * other;
                const Vector value = near * (1.0f - fraction) + far * fraction;
                // A NaN, once met, stays.
                largest[i] = ((value <= largest[i]) | (largest[i] != largest[i])) ? largest[i] : value;
            }
        }
        for (int i = 0; i < kVectors; ++i) *reinterpret_cast<Vector*>(pooled + i * 8) = largest[i];
    }
}

// Results (side, count, kBlock), of which `boxes` from here on, to `channels` planes of y, (count, side).
void write_results(const float* pooled, int64_t count, int64_t boxes, int64_t channels, float* y) {
    typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));
    for (int64_t box = 0; box < boxes; ++box, pooled += kBlock, y += kSides) {
        for (int64_t c = 0; c < channels; c += 4) {
            const auto read = [&](int side) {
                return *reinterpret_cast<const Four*>(pooled + side * count * kBlock + c);
            };
            const Four top = read(kTop), left = read(kLeft), bottom = read(kBottom), right = read(kRight);
            const Four a = __builtin_shufflevector(top, left, 0, 4, 1, 5);
            const Four b = __builtin_shufflevector(bottom, right, 0, 4, 1, 5);
            const Four d = __builtin_shufflevector(top, left, 2, 6, 3, 7);
            const Four e = __builtin_shufflevector(bottom, right, 2, 6, 3, 7);
            const Four rows[] = {__builtin_shufflevector(a, b, 0, 1, 4, 5), __builtin_shufflevector(a, b, 2, 3, 6, 7),
                                 __builtin_shufflevector(d, e, 0, 1, 4, 5), __builtin_shufflevector(d, e, 2, 3, 6, 7)};
            for (int64_t i = 0; i < std::min<int64_t>(4, channels - c); ++i) {
                *reinterpret_cast<Four*>(y + (c + i) * count * kSides) = rows[i];
            }
        }
    }
}

}  // namespace

void BorderAlign::cpu(const Call& call, Context& context) {
    const Tensor &x = call.inputs[0], &boxes = call.inputs[1];
    const int64_t images = x[0], channels = x[1] / kSides, height = x[2], width = x[3], count = boxes[1];
    const int64_t pool_size = call.attributes[0], step_count = pool_size + 1;
    if (call.output.size() == 0) return;
    const int64_t blocks = (channels + kBlock - 1) / kBlock, tiles = (count + kBoxes - 1) / kBoxes;
    const Strides strides(height, width);
    float* copy = context.allocate_array<float>(images * blocks * kSides * strides.plane);
    float* pooled = context.allocate_array<float>(images * blocks * kSides * count * kBlock);
    float* steps = context.allocate_array<float>(step_count);
    Line* lines = context.allocate_array<Line>(images * count * kSides);
    Sample* samples = context.allocate_array<Sample>(images * count * kSides * step_count);

    context.parallel(images * blocks * kSides * (height + 1), [&](int64_t row) {
        const int64_t plane = row / (height + 1), i = std::min(row % (height + 1), height - 1);
        const int64_t group = plane % kSides, block = plane / kSides % blocks, image = plane / kSides / blocks;
        const int64_t channel = (image * kSides + group) * channels + block * kBlock;
        copy_row(x.as<const float>() + (channel * height + i) * width, copy + row * strides.row, width, height * width,
                 std::min(kBlock, channels - block * kBlock));
    });

    for (int64_t t = 0; t < step_count; ++t) steps[t] = static_cast<float>(t) / static_cast<float>(pool_size);
    context.parallel((images * count + kBoxes - 1) / kBoxes, [&](int64_t i) {
        const int64_t end = std::min((i + 1) * kBoxes, images * count) * kSides;
        for (int64_t line = i * kBoxes * kSides; line < end; ++line) {
            const int side = static_cast<int>(line % kSides);
            const Border border = border_of(boxes.as<const float>() + line - side, side);
            lines[line] = find_samples(border, side % 2 == 0, static_cast<int>(height), static_cast<int>(width), steps,
                                       step_count, samples + line * step_count);
        }
    });

    context.parallel(images * blocks * kSides * tiles, [&](int64_t i) {
        const int64_t first = i % tiles * kBoxes, plane = i / tiles;
        const int64_t side = plane % kSides, image = plane / kSides / blocks;
        const int64_t step = side % 2 == 0 ? kBlock : strides.row, other_step = side % 2 == 0 ? strides.row : kBlock;
        const int64_t line = (image * count + first) * kSides + side;
        pool_lines(copy + plane * strides.plane, lines + line, samples + line * step_count, step_count,
                   std::min(kBoxes, count - first), step, other_step, pooled + (plane * count + first) * kBlock);
    });

    context.parallel(images * blocks * tiles, [&](int64_t i) {
        const int64_t first = i % tiles * kBoxes, block = i / tiles % blocks, image = i / tiles / blocks;
        const int64_t channel = block * kBlock;
        write_results(pooled + ((image * blocks + block) * kSides * count + first) * kBlock, count,
                      std::min(kBoxes, count - first), std::min(kBlock, channels - channel),
                      call.output.as<float>() + ((image * channels + channel) * count + first) * kSides);
    });
}

}  // namespace detforge
