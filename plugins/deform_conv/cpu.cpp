// A tile of output points is finished by one thread: for a block of taps and channels, at most kDepth of both, the
// samples go into a panel (point, depth), which the micro-kernel multiplies with the packed weights (depth, output)
// into the tile's results (point, output). The panel, 61 KB, a block of weights and the results stay in the second
// cache. Samples outside read a pixel of zeros behind each image, so that no sample branches.

#include <algorithm>
#include <atomic>
#include <new>

#include "../core/simd.h"
#include "kernel.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace detforge {
namespace {

constexpr int64_t kDepth = 256;                // of a panel
constexpr int64_t kPanelStride = kDepth + 16;  // not a multiple of 1 KB: the rows fall into different sets of the cache
constexpr int64_t kPoints = 56;                // of a tile
constexpr int64_t kGroupedOutputs = 512;       // of a tile, unless one group has more

// result (rows, columns) += panel (rows, depth) * weights (depth, columns), all in registers, for as many rows and
// columns as registers hold: two vectors of columns. `weights` and `result` are aligned.
struct MicroKernel {
    int64_t rows, columns;
    void (*multiply)(const float* panel, const float* weights, int64_t depth, float* result, int64_t result_stride);
};

// (A macro because GCC splits the vectors of inlined templates for the oldest processor.)
#define DETFORGE_MULTIPLY(NAME, TARGET, LANES, ROWS, MULTIPLY_ADD)                                                    \
    TARGET void NAME(const float* panel, const float* weights, int64_t depth, float* result, int64_t result_stride) { \
        typedef float Vector __attribute__((vector_size(4 * LANES), may_alias));                                      \
        Vector sums[ROWS][2];                                                                                         \
        _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; ++i) {                                                     \
            const Vector* from = reinterpret_cast<const Vector*>(result + i * result_stride);                         \
            sums[i][0] = from[0], sums[i][1] = from[1];                                                               \
        }                                                                                                             \
        for (int64_t k = 0; k < depth; ++k) {                                                                         \
            const Vector* weight = reinterpret_cast<const Vector*>(weights + k * (2 * LANES));                        \
            const Vector left = weight[0], right = weight[1];                                                         \
            _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; ++i) {                                                 \
                const Vector sample = panel[i * kPanelStride + k] - Vector{};                                         \
                sums[i][0] = MULTIPLY_ADD(sample, left, sums[i][0]);                                                  \
                sums[i][1] = MULTIPLY_ADD(sample, right, sums[i][1]);                                                 \
            }                                                                                                         \
        }                                                                                                             \
        _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; ++i) {                                                     \
            Vector* to = reinterpret_cast<Vector*>(result + i * result_stride);                                       \
            to[0] = sums[i][0], to[1] = sums[i][1];                                                                   \
        }                                                                                                             \
    }

#define DETFORGE_MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
DETFORGE_MULTIPLY(multiply_portable, , 4, 6, DETFORGE_MULTIPLY_ADD)
#if defined(__x86_64__)
DETFORGE_MULTIPLY(multiply_avx2, __attribute__((target("avx2,fma"))), 8, 6, _mm256_fmadd_ps)
DETFORGE_MULTIPLY(multiply_avx512, __attribute__((target("avx512f"))), 16, 14, _mm512_fmadd_ps)
#endif

MicroKernel micro_kernel() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return {14, 32, multiply_avx512};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {6, 16, multiply_avx2};
#endif
    return {6, 8, multiply_portable};
}

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How many at a time, if at most `most`, in pieces of about one size.
int64_t piece(int64_t count, int64_t most) { return count == 0 ? 1 : divide_up(count, divide_up(count, most)); }

struct Plan {
    Plan(const DeformConvCall& given, const MicroKernel& kernel) : call(given), micro(kernel) {
        channel_block = piece(call.group_channels(), kDepth);
        tap_block = piece(call.taps(), kDepth / channel_block);
        points = kPoints / micro.rows * micro.rows;
        tiles = divide_up(call.points(), points);
        columns = divide_up(call.group_outputs(), micro.columns) * micro.columns;
        group_block = std::clamp<int64_t>(kGroupedOutputs / columns, 1, call.groups);
        result_stride = group_block * columns + 16;  // as kPanelStride
        const int64_t spanned = group_block * call.group_channels();
        const int64_t shared = std::max<int64_t>(call.offset_group_channels(), 1);
        offset_group_block = std::min(spanned / shared + 2, call.offset_groups);
    }
    int64_t group_depth() const { return call.group_channels() * call.taps(); }

    DeformConvCall call;
    MicroKernel micro;
    int64_t channel_block, tap_block;
    int64_t points, tiles;
    int64_t columns;  // of a group: its outputs, rounded up
    int64_t group_block, offset_group_block;
    int64_t result_stride;
};

// Taps first..last - 1 of channels first..last - 1 of a group.
struct Block {
    int64_t first_tap, last_tap, first_channel, last_channel;

    int64_t channels() const { return last_channel - first_channel; }
    int64_t depth() const { return (last_tap - first_tap) * channels(); }
    int64_t depth_before(int64_t group_channels) const {
        return first_tap * group_channels + (last_tap - first_tap) * first_channel;
    }
};

template <class Visit>
void for_each_channel_block(const Plan& plan, int64_t first_tap, const Visit& visit) {
    const int64_t channels = plan.call.group_channels();
    const int64_t last_tap = std::min(first_tap + plan.tap_block, plan.call.taps());
    for (int64_t c = 0; c < channels; c += plan.channel_block) {
        visit(Block{first_tap, last_tap, c, std::min(c + plan.channel_block, channels)});
    }
}

constexpr int64_t kLine = 16;  // floats of a cache line: transposes go line by line

// x (c, pixels) to (pixels, c), for some of the pixels.
DETFORGE_CLONES void copy_pixels(const float* x, float* copy, int64_t channels, int64_t pixels, int64_t first,
                                 int64_t last) {
    for (int64_t c = 0; c < channels; c += kLine) {
        const float* from = x + c * pixels;
        for (int64_t p = first; p < last; ++p) {
            float* to = copy + p * channels + c;
            if (channels - c >= kLine) {  // a constant count is unrolled
                for (int64_t i = 0; i < kLine; ++i) to[i] = from[i * pixels + p];
            } else {
                for (int64_t i = 0; i < channels - c; ++i) to[i] = from[i * pixels + p];
            }
        }
    }
}

// Weights of micro.columns outputs of a group, block by block: (depth, column), 0 beyond the group's outputs.
void pack_weights(const Plan& plan, int64_t group, int64_t first_output, float* packed) {
    const DeformConvCall& call = plan.call;
    const int64_t channels = call.group_channels(), taps = call.taps(), columns = plan.micro.columns;
    const int64_t count = std::min(columns, call.group_outputs() - first_output), depth = plan.group_depth();
    const float* weight = static_cast<const float*>(call.weight) +
                          (group * call.group_outputs() + first_output) * depth;
    for (int64_t t = 0; t < taps; t += plan.tap_block) {
        for_each_channel_block(plan, t, [&](const Block& block) {
            float* to = packed + block.depth_before(channels) * plan.columns + first_output * block.depth();
            for (int64_t start = block.first_channel; start < block.last_channel; start += kLine) {
                const int64_t end = std::min(start + kLine, block.last_channel);
                for (int64_t tap = block.first_tap; tap < block.last_tap; ++tap) {
                    for (int64_t c = start; c < end; ++c) {
                        const int64_t k = (tap - block.first_tap) * block.channels() + c - block.first_channel;
                        float* row = to + k * columns;
                        for (int64_t i = 0; i < count; ++i) row[i] = weight[i * depth + c * taps + tap];
                        std::fill(row + count, row + columns, 0.0f);
                    }
                }
            }
        });
    }
}

struct Sample {
    BilinearSample at;
    float mask;
};

// Samples (count) of one tap and offset group, from output point `first`.
void find_samples(const DeformConvCall& call, int64_t image, int64_t offset_group, int64_t tap, int64_t first,
                  int64_t count, Sample* samples) {
    const int64_t plane = (image * call.offset_groups + offset_group) * call.taps() + tap, points = call.points();
    const float* dy = static_cast<const float*>(call.offset) + 2 * plane * points + first;
    const float* dx = dy + points;
    const float* mask = call.mask == nullptr ? nullptr : static_cast<const float*>(call.mask) + plane * points + first;
    const int64_t tap_i = tap / call.kernel_width, tap_j = tap % call.kernel_width;
    const int height = static_cast<int>(call.height), width = static_cast<int>(call.width);
    int64_t i = first / call.out_width, j = first % call.out_width;
    for (int64_t p = 0; p < count; ++p) {
        const float y = tap_position(i, tap_i, call.stride[0], call.pad[0], call.dilation[0]) + dy[p];
        const float x = tap_position(j, tap_j, call.stride[1], call.pad[1], call.dilation[1]) + dx[p];
        samples[p] = {bilinear_sample(y, x, height, width), mask == nullptr ? 1.0f : mask[p]};
        for (int32_t& pixel : samples[p].at.pixel) pixel = pixel < 0 ? height * width : pixel;
        if (++j == call.out_width) j = 0, ++i;
    }
}

// The values of samples (count), for `channels` channels of one offset group, into columns of the panel.
DETFORGE_CLONES void sample_pixels(const float* image, int64_t pixel_stride, const Sample* samples, int64_t count,
                                   int64_t channels, float* panel) {
    for (int64_t p = 0; p < count; ++p) {
        const int32_t* pixel = samples[p].at.pixel;
        const float *a = image + pixel[0] * pixel_stride, *b = image + pixel[1] * pixel_stride;
        const float *c = image + pixel[2] * pixel_stride, *d = image + pixel[3] * pixel_stride;
        const float* weight = samples[p].at.weight;
        const float wa = weight[0], wb = weight[1], wc = weight[2], wd = weight[3], mask = samples[p].mask;
        float* __restrict to = panel + p * kPanelStride;
        for (int64_t i = 0; i < channels; ++i) to[i] = mask * (wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i]);
    }
}

// Results (count, outputs) to y (outputs, points).
DETFORGE_CLONES void write_results(const float* results, int64_t stride, int64_t count, int64_t outputs, float* y,
                                   int64_t points) {
    for (int64_t first = 0; first < outputs; first += kLine) {
        for (int64_t o = first; o < std::min(first + kLine, outputs); ++o) {
            for (int64_t p = 0; p < count; ++p) y[o * points + p] = results[p * stride + o];
        }
    }
}

// One thread's memory.
struct Buffers {
    Buffers(const Plan& plan, Context& context)
        : panel(context.allocate_array<float>(plan.points * kPanelStride)),
          results(context.allocate_array<float>(plan.points * plan.result_stride)),
          samples(context.allocate_array<Sample>(plan.tap_block * plan.offset_group_block * plan.points)) {
        std::fill_n(panel, plan.points * kPanelStride, 0.0f);  // rows that no point of a tile fills
    }
    float *panel, *results;
    Sample* samples;
};

// A tile of output points of an image, for a block of groups.
class TileTask {
  public:
    TileTask(const Plan& plan, const float* copy, const float* packed, const Buffers& buffers)
        : plan_(plan), call_(plan.call), copy_(copy), packed_(packed), buffers_(buffers) {}

    void run(int64_t image, int64_t tile, int64_t group_block) {
        image_ = image;
        first_ = tile * plan_.points;
        count_ = std::min(plan_.points, call_.points() - first_);
        first_group_ = group_block * plan_.group_block;
        last_group_ = std::min(first_group_ + plan_.group_block, call_.groups);
        start_from_bias();
        if (call_.channels > 0) {
            for (int64_t t = 0; t < call_.taps(); t += plan_.tap_block) {
                find(t);
                for (int64_t group = first_group_; group < last_group_; ++group) {
                    for_each_channel_block(plan_, t, [&](const Block& block) {
                        fill_panel(group, block);
                        multiply(group, block);
                    });
                }
            }
        }
        for (int64_t group = first_group_; group < last_group_; ++group) {
            const int64_t output = image_ * call_.outputs + group * call_.group_outputs();
            write_results(results(group), plan_.result_stride, count_, call_.group_outputs(),
                          static_cast<float*>(call_.y) + output * call_.points() + first_, call_.points());
        }
    }

  private:
    float* results(int64_t group) const { return buffers_.results + (group - first_group_) * plan_.columns; }
    int64_t first_offset_group() const {
        return first_group_ * call_.group_channels() / call_.offset_group_channels();
    }
    Sample* samples(int64_t tap_of_block, int64_t offset_group) const {
        const int64_t i = tap_of_block * plan_.offset_group_block + offset_group - first_offset_group();
        return buffers_.samples + i * plan_.points;
    }

    void start_from_bias() {
        const int64_t outputs = call_.group_outputs();
        for (int64_t group = first_group_; group < last_group_; ++group) {
            const float* bias = static_cast<const float*>(call_.bias) + group * outputs;
            for (int64_t p = 0; p < plan_.points; ++p) {
                float* row = results(group) + p * plan_.result_stride;
                std::fill(std::copy(bias, bias + outputs, row), row + plan_.columns, 0.0f);
            }
        }
    }

    void find(int64_t first_tap) {
        const int64_t last_tap = std::min(first_tap + plan_.tap_block, call_.taps());
        const int64_t end = divide_up(last_group_ * call_.group_channels(), call_.offset_group_channels());
        for (int64_t tap = first_tap; tap < last_tap; ++tap) {
            for (int64_t offset_group = first_offset_group(); offset_group < end; ++offset_group) {
                find_samples(call_, image_, offset_group, tap, first_, count_, samples(tap - first_tap, offset_group));
            }
        }
    }

    // A group's channels may belong to several offset groups, and the other way round.
    void fill_panel(int64_t group, const Block& block) {
        const float* image = copy_ + image_ * (call_.height * call_.width + 1) * call_.channels;
        const int64_t shared = call_.offset_group_channels(), start = group * call_.group_channels();
        for (int64_t tap = 0; tap < block.last_tap - block.first_tap; ++tap) {
            float* column = buffers_.panel + tap * block.channels();
            for (int64_t c = start + block.first_channel; c < start + block.last_channel;) {
                const int64_t channels = std::min((c / shared + 1) * shared, start + block.last_channel) - c;
                sample_pixels(image + c, call_.channels, samples(tap, c / shared), count_, channels, column);
                c += channels, column += channels;
            }
        }
    }

    void multiply(int64_t group, const Block& block) {
        const int64_t channels = call_.group_channels(), depth = block.depth();
        const float* weights = packed_ + (group * plan_.group_depth() + block.depth_before(channels)) * plan_.columns;
        for (int64_t o = 0; o < plan_.columns; o += plan_.micro.columns) {
            for (int64_t p = 0; p < count_; p += plan_.micro.rows) {
                plan_.micro.multiply(buffers_.panel + p * kPanelStride, weights + o * depth, depth,
                                     results(group) + p * plan_.result_stride + o, plan_.result_stride);
            }
        }
    }

    const Plan& plan_;
    const DeformConvCall& call_;
    const float *copy_, *packed_;
    const Buffers& buffers_;
    int64_t image_ = 0, first_ = 0, count_ = 0, first_group_ = 0, last_group_ = 0;
};

void convolve(const DeformConvCall& call, Context& context) {
    if (call.batch * call.outputs * call.points() == 0) return;
    const Plan plan(call, micro_kernel());
    const int64_t pixels = call.height * call.width, image_size = (pixels + 1) * call.channels;
    float* copy = context.allocate_array<float>(call.batch * image_size);
    constexpr int64_t kPixels = 256;
    const int64_t pieces = divide_up(pixels, kPixels);
    context.parallel(call.batch * pieces, [&](int64_t i) {
        const int64_t image = i / pieces, first = i % pieces * kPixels;
        const float* x = static_cast<const float*>(call.x) + image * pixels * call.channels;
        float* to = copy + image * image_size;
        copy_pixels(x, to, call.channels, pixels, first, std::min(first + kPixels, pixels));
        if (first == 0) std::fill_n(to + pixels * call.channels, call.channels, 0.0f);
    });

    float* packed = context.allocate_array<float>(call.groups * plan.columns * plan.group_depth());
    const int64_t slices = plan.columns / plan.micro.columns;
    context.parallel(call.groups * slices, [&](int64_t i) {
        const int64_t group = i / slices;
        pack_weights(plan, group, i % slices * plan.micro.columns, packed + group * plan.columns * plan.group_depth());
    });

    const int64_t group_blocks = divide_up(call.groups, plan.group_block);
    const int64_t tasks = call.batch * plan.tiles * group_blocks;
    const int64_t threads = std::min<int64_t>(context.threads(), tasks);
    Buffers* buffers = context.allocate_array<Buffers>(threads);
    for (int64_t i = 0; i < threads; ++i) new (buffers + i) Buffers(plan, context);
    std::atomic<int64_t> next{0};
    context.parallel(threads, [&](int64_t thread) {
        TileTask task(plan, copy, packed, buffers[thread]);
        for (int64_t i; (i = next.fetch_add(1)) < tasks;) {
            task.run(i / group_blocks / plan.tiles, i / group_blocks % plan.tiles, i % group_blocks);
        }
    });
}

}  // namespace

template <bool kModulated>
void DeformConvBase<kModulated>::cpu(const Call& call, Context& context) {
    convolve(read(call), context);
}

template void DeformConvBase<false>::cpu(const Call&, Context&);
template void DeformConvBase<true>::cpu(const Call&, Context&);

}  // namespace detforge
