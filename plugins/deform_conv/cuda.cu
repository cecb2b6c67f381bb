// Plan: an implicit GEMM. x is copied channels last and the weights are laid out (group, output, segment, tap, channel)
// in the workspace, where a segment is the most channels that share their group and offset group, filled up with zeros
// to whole steps. A block makes a tile of 64, 128 or 256 outputs x 128 points, in steps of 128 bytes of channels (64
// values, 32 of float) at one tap: a panel of weights comes by asynchronous copies, a panel of samples is interpolated
// from 4 pixels in the precision of the call, while the panels before are multiplied. Half and bfloat16 multiply on
// tensor cores, float by plain multiply-adds of up to 8 x 8 outputs and points a thread; sums are float. Where the
// samples lie at 9 taps of the tile is found once and kept in shared memory. Taps follow each other fastest, so that
// the pixels that they share stay in the first-level cache; a pixel outside is a pixel of zeros behind x. Where tiles
// are few, several blocks make a part of the inner dimension each, and the one that comes last adds their sums in the
// order of the parts: results do not depend on chance.
//
// All else (segments that are no whole vectors of 16 bytes, fewer than 16 outputs to a group, a workspace that is not
// aligned) is for a simple kernel: a block takes 128 points and 32 outputs, and 32 channels of one tap at a time. A
// thread samples x as it is, at one point, for all 32 outputs, whose weights lie in shared memory.
//
// For (1, 256, 64, 64), 256 outputs, 3 x 3: 4.8 GFLOP, 7.5 us at the 650 TFLOP/s of a large product on an H200 in half
// precision, 95 us at 51 in float. In half precision with tiles of 256 outputs, a step of a block reads 64 KB of pixels
// and 32 KB of weights and loads 128 KB of matrices from shared memory: 2000 cycles at 128 bytes a cycle, against 1650
// of the tensor cores. Measured there, profiled before the places were found at one point of the code: 8 warps are too
// few to hide the latencies, the tensor cores wait for matrices.
#include <cstring>

#include "../core/device.h"
#include "kernel.h"

namespace detforge {
namespace {

constexpr int kThreads = 256, kPoints = 128;  // of a block
constexpr int kChunks = 8;                    // of 16 bytes, in a row of a panel
constexpr int kMostTaps = 9;                  // whose samples' places are kept at a time
constexpr int kFewItems = 128, kMostSplits = 8;  // the inner dimension is split while there are few items
constexpr int64_t kAlignment = 256;

template <class T>
constexpr int kVector = 16 / static_cast<int>(sizeof(T));  // values of a chunk

int64_t common_divisor(int64_t a, int64_t b) {
    while (b != 0) {
        const int64_t rest = a % b;
        a = b, b = rest;
    }
    return a;
}

// How the inner dimension of a group's product lies: segments, of them taps, of them channels in chunks.
struct Layout {
    int64_t segment;             // channels
    int segments, chunks, taps;  // of a group; of a tap, filled up to whole steps; of the kernel
    int64_t given, given_group;  // chunks of a segment and of a group, in x
    int outputs;                 // of a group, filled up to whole tiles

    DETFORGE_HD int row() const { return segments * taps * chunks; }  // chunks of an output
};

int64_t segment_of(const DeformConvCall& call) {
    return common_divisor(call.group_channels(), call.offset_group_channels());
}

// How many times 64 outputs a tile has at most.
int tallest(const DeformConvCall& call, int vector) {
    const int most = vector == 4 ? 2 : 4;
    int tall = 1;
    while (tall < most && 64 * tall < call.group_outputs()) tall *= 2;
    return tall;
}

int64_t filled_outputs(const DeformConvCall& call, int vector) {
    const int64_t tile = 64 * tallest(call, vector);
    return divide_up(call.group_outputs(), tile) * tile;
}

Layout layout_of(const DeformConvCall& call, int vector) {
    const int64_t segment = segment_of(call), chunks = divide_up<int64_t>(segment, kChunks * vector) * kChunks;
    return {segment,
            static_cast<int>(call.group_channels() / segment),
            static_cast<int>(chunks),
            static_cast<int>(call.taps()),
            segment / vector,
            call.group_channels() / vector,
            static_cast<int>(filled_outputs(call, vector))};
}

int64_t chunks_of_x(const DeformConvCall& call, int vector) {  // and a pixel of zeros
    return (call.batch * call.height * call.width + 1) * (call.channels / vector);
}

int64_t tiles_of(const DeformConvCall& call, int tall) {
    return call.batch * call.groups * divide_up<int64_t>(call.group_outputs(), 64 * tall) *
           divide_up<int64_t>(call.points(), kPoints);
}

int vector_of(DType dtype) { return dtype == DType::kFloat ? 4 : 8; }

// What the panels' kernels count is counted in 32 bits.
bool is_for_panels(const DeformConvCall& call, DType dtype) {
    constexpr int64_t kMost = int64_t{1} << 31;
    const int vector = vector_of(dtype);
    const int64_t segment = segment_of(call);
    if (segment == 0 || segment % vector != 0 || call.group_outputs() < 16) return false;
    const int64_t row = call.group_channels() / segment * call.taps() * (segment + kChunks * vector);  // or less
    return chunks_of_x(call, vector) < kMost && call.groups * filled_outputs(call, vector) * row < kMost &&
           tiles_of(call, 1) < kMost && call.points() < kMost;
}

// What a call's blocks do: items of 64 * tall outputs, kPoints points and one of `splits` parts of the inner dimension.
struct Plan {
    int tall, taps_at_once, splits;
    int64_t tiles;
    bool has_vectors;  // y is written in chunks
};

// Shared memory: two stages of a panel of weights and one of samples, then the samples' places.
template <class T>
constexpr DETFORGE_HD int bytes_of_panels(int tall) {
    return 2 * (64 * tall + kPoints) * kChunks * 16;
}
template <class T>
constexpr DETFORGE_HD int bytes_of_tap() {
    return kPoints * static_cast<int>(sizeof(uint4) + sizeof(Vector<T, 4>) + sizeof(T));
}

template <class T>
Plan plan_of(const DeformConvCall& call, const Layout& layout, int shared) {
    Plan plan{tallest(call, kVector<T>), 1, 1, 0, call.points() % kVector<T> == 0 && is_aligned<T, kVector<T>>(call.y)};
    while (plan.tall > 1 && bytes_of_panels<T>(plan.tall) + bytes_of_tap<T>() > shared) plan.tall /= 2;
    while (plan.tall > 2 && 2 * tiles_of(call, plan.tall) <= kFewItems) plan.tall /= 2;
    plan.taps_at_once = (shared - bytes_of_panels<T>(plan.tall)) / bytes_of_tap<T>();
    if (plan.taps_at_once > kMostTaps) plan.taps_at_once = kMostTaps;
    if (plan.taps_at_once > layout.taps) plan.taps_at_once = layout.taps;
    plan.tiles = tiles_of(call, plan.tall);
    const int steps = layout.row() / kChunks;
    while (plan.splits < kMostSplits && plan.tiles * plan.splits * 2 <= kFewItems && steps >= plan.splits * 8) {
        plan.splits *= 2;
    }
    return plan;
}

// The workspace: x channels last, the weights as steps read them, the sums of each part, and how many parts are done.
struct Workspace {
    int64_t weight, partial, arrivals, size;  // bytes before each
};

Workspace workspace_of(const DeformConvCall& call, DType dtype) {
    const auto aligned = [](int64_t bytes) { return divide_up(bytes, kAlignment) * kAlignment; };
    const int vector = vector_of(dtype);
    const int tall = tallest(call, vector);
    const Layout layout = layout_of(call, vector);
    const int64_t items = tiles_of(call, tall) * kMostSplits, tile = 64 * tall * kPoints * 4;
    Workspace made{};
    made.weight = aligned(chunks_of_x(call, vector) * 16);
    made.partial = made.weight + aligned(call.groups * layout.outputs * layout.row() * 16);
    made.arrivals = made.partial + (items < kFewItems ? items : kFewItems) * tile;
    made.size = made.arrivals + kFewItems * 4;
    return made;
}

// Lays out the weights, and sets to zero the pixel of zeros behind x and the counts of parts that are done.
template <class T>
__global__ void __launch_bounds__(kThreads) pack(DeformConvCall call, Layout layout, Vector<T, 2>* packed, uint4* zeros,
                                                 int* arrivals, int64_t count) {
    const unsigned stride = gridDim.x * kThreads, first = blockIdx.x * kThreads + threadIdx.x;
    const unsigned taps = static_cast<unsigned>(layout.taps), segments = static_cast<unsigned>(layout.segments);
    const unsigned width = static_cast<unsigned>(layout.chunks * kVector<T>) / 2;
    const unsigned outputs = static_cast<unsigned>(layout.outputs);
    const unsigned segment_channels = static_cast<unsigned>(layout.segment);
    for (unsigned i = first; i < count; i += stride) {  // two channels
        const unsigned channel = i % width * 2, tap = i / width % taps, segment = i / width / taps % segments;
        const unsigned filled = i / width / taps / segments, output = filled % outputs;
        const int64_t row = (filled / outputs * call.group_outputs() + output) * call.group_channels();
        const int64_t from = row + segment * segment_channels + channel;
        const T* weight = static_cast<const T*>(call.weight) + from * taps + tap;
        Vector<T, 2> values{{from_float<T>(0.0f), from_float<T>(0.0f)}};
        if (channel < segment_channels && output < call.group_outputs()) values = {{weight[0], weight[taps]}};
        packed[i] = values;
    }
    for (unsigned i = first; i < call.channels / kVector<T>; i += stride) zeros[i] = {};
    if (first < kFewItems) arrivals[first] = 0;
}

// A step of the inner dimension: kChunks chunks of channels at one tap. Taps follow each other fastest, so that the
// pixels that they share stay in the first-level cache; `first_tap` is the first of those whose places are known.
struct Step {
    int segment, first_tap, chunk, tap;

    __device__ Step(const Layout& layout, int taps_at_once, int index) {
        const int steps_per_tap = layout.chunks / kChunks, of_segment = index % (layout.taps * steps_per_tap);
        const int of_block = of_segment % (steps_per_tap * taps_at_once);
        segment = index / (layout.taps * steps_per_tap);
        first_tap = of_segment / (steps_per_tap * taps_at_once) * taps_at_once;
        const int taps = taps_from(layout, taps_at_once);
        chunk = of_block / taps * kChunks, tap = first_tap + of_block % taps;
    }
    __device__ int taps_from(const Layout& layout, int taps_at_once) const {
        return layout.taps - first_tap < taps_at_once ? layout.taps - first_tap : taps_at_once;
    }
    // Returns whether the samples lie at other places than known.
    __device__ bool advance(const Layout& layout, int taps_at_once) {
        if (++tap < first_tap + taps_from(layout, taps_at_once)) return false;
        tap = first_tap;
        chunk += kChunks;
        if (chunk < layout.chunks) return false;
        chunk = 0;
        first_tap += taps_at_once;
        if (first_tap >= layout.taps) first_tap = 0, ++segment;
        tap = first_tap;
        return true;
    }
};

// Where the samples of kPoints points lie at a few taps: the pixels' chunks, and what they are multiplied by.
template <class T>
struct Places {
    uint4* pixels;
    Vector<T, 4>* weights;
    T* masks;
};

// A block's tile.
struct Tile {
    int64_t image, group, first_output, first_point;
};

template <class T>
__device__ void find(const Places<T>& places, const DeformConvCall& call, const Layout& layout, const Tile& tile,
                     const Step& step, int taps) {
    constexpr int kApart = kThreads / kPoints, kEach = (kMostTaps + kApart - 1) / kApart;
    const int64_t points = call.points(), point = tile.first_point + threadIdx.x % kPoints;
    const int64_t channel = tile.group * call.group_channels() + step.segment * layout.segment;
    const int64_t offset_group = channel / call.offset_group_channels();
    const int64_t start = (tile.image * call.offset_groups + offset_group) * layout.taps + step.first_tap;
    const unsigned row = static_cast<unsigned>(point) / static_cast<unsigned>(call.out_width);
    const unsigned column = static_cast<unsigned>(point) % static_cast<unsigned>(call.out_width);
    const unsigned pixel_chunks = static_cast<unsigned>(call.channels / kVector<T>);
    const unsigned pixels = static_cast<unsigned>(call.height * call.width);
    const unsigned image = static_cast<unsigned>(tile.image) * pixels;
    const unsigned zeros = static_cast<unsigned>(call.batch) * pixels;
    float y[kEach], x[kEach], mask[kEach];
#pragma unroll
    for (int i = 0; i < kEach; ++i) {  // all are on their way before the first is used
        const int tap = static_cast<int>(threadIdx.x) / kPoints + i * kApart;
        const bool is_here = tap < taps && point < points;
        const T* offset = static_cast<const T*>(call.offset) + 2 * (start + tap) * points + point;
        y[i] = is_here ? to_float(offset[0]) : 0.0f;
        x[i] = is_here ? to_float(offset[points]) : 0.0f;
        mask[i] = 1.0f;
        if (is_here && call.mask != nullptr) {
            mask[i] = to_float(static_cast<const T*>(call.mask)[(start + tap) * points + point]);
        }
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
        const int place = static_cast<int>(threadIdx.x) / kPoints + i * kApart, tap = step.first_tap + place;
        if (place >= taps) continue;
        const unsigned kernel_width = static_cast<unsigned>(call.kernel_width), number = static_cast<unsigned>(tap);
        y[i] += tap_position(row, number / kernel_width, call.stride[0], call.pad[0], call.dilation[0]);
        x[i] += tap_position(column, number % kernel_width, call.stride[1], call.pad[1], call.dilation[1]);
        BilinearSample sample{{-1, -1, -1, -1}, {0.0f, 0.0f, 0.0f, 0.0f}};
        if (point < points) {
            sample = bilinear_sample(y[i], x[i], static_cast<int>(call.height), static_cast<int>(call.width));
        }
        unsigned from[4];
        Vector<T, 4> weights;
#pragma unroll
        for (int corner = 0; corner < 4; ++corner) {
            const int pixel = sample.pixel[corner];
            from[corner] = (pixel < 0 ? zeros : image + static_cast<unsigned>(pixel)) * pixel_chunks;
            weights.values[corner] = from_float<T>(sample.weight[corner]);
        }
        const int at = place * kPoints + static_cast<int>(threadIdx.x) % kPoints;
        places.pixels[at] = {from[0], from[1], from[2], from[3]};
        places.weights[at] = weights;
        places.masks[at] = from_float<T>(mask[i]);
    }
}

__device__ inline float multiply_add(float a, float b, float c) { return a * b + c; }
__device__ inline float times(float a, float b) { return a * b; }
__device__ inline __half2 multiply_add(__half2 a, __half2 b, __half2 c) { return __hfma2(a, b, c); }
__device__ inline __half2 times(__half2 a, __half2 b) { return __hmul2(a, b); }
__device__ inline __nv_bfloat162 multiply_add(__nv_bfloat162 a, __nv_bfloat162 b, __nv_bfloat162 c) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800  // no such instruction
    return {from_float<__nv_bfloat16>(to_float(a.x) * to_float(b.x) + to_float(c.x)),
            from_float<__nv_bfloat16>(to_float(a.y) * to_float(b.y) + to_float(c.y))};
#else
    return __hfma2(a, b, c);
#endif
}
__device__ inline __nv_bfloat162 times(__nv_bfloat162 a, __nv_bfloat162 b) { return __hmul2(a, b); }
__device__ inline float in_word(float x) { return x; }
__device__ inline __half2 in_word(__half x) { return {x, x}; }
__device__ inline __nv_bfloat162 in_word(__nv_bfloat16 x) { return {x, x}; }

// What a thread brings to each panel of samples: one chunk of 4 points. fetch() begins to read it, store() finishes it.
template <class T>
class Sampler {
    using W = typename Word<T>::type;
    static constexpr int kWords = 16 / sizeof(W), kApart = kThreads / kChunks;

  public:
    static constexpr int kEach = kPoints / kApart;

    __device__ Sampler(const Places<T>& places, const uint4* x) : places_(places), x_(x) {}

    __device__ void go_to(const Layout& layout, const Tile& tile, const Step& step) {
        const int chunk = step.chunk + static_cast<int>(threadIdx.x) % kChunks;
        from_ = x_ + (tile.group * layout.given_group + step.segment * layout.given + chunk);
        is_channel_ = chunk < layout.given;
        first_ = (step.tap - step.first_tap) * kPoints + static_cast<int>(threadIdx.x) / kChunks;
    }
    __device__ void fetch(int i) {
        const uint4 pixels = places_.pixels[first_ + i * kApart];
        if (!is_channel_) return;
        pixels_[0] = from_[pixels.x], pixels_[1] = from_[pixels.y];
        pixels_[2] = from_[pixels.z], pixels_[3] = from_[pixels.w];
    }
    __device__ void store(uint4* panel, int i) const {
        const int chunk = static_cast<int>(threadIdx.x) % kChunks;
        const int row = static_cast<int>(threadIdx.x) / kChunks + i * kApart;
        uint4 result{};
        if (is_channel_) {  // others stay 0 whatever the mask is
            const Vector<T, 4> weights = places_.weights[first_ + i * kApart];
            const W mask = in_word(places_.masks[first_ + i * kApart]);
            W values[4][kWords], sums[kWords];
            std::memcpy(values, pixels_, sizeof(values));
#pragma unroll
            for (int v = 0; v < kWords; ++v) {
                sums[v] = times(in_word(weights.values[0]), values[0][v]);
#pragma unroll
                for (int corner = 1; corner < 4; ++corner) {
                    sums[v] = multiply_add(in_word(weights.values[corner]), values[corner][v], sums[v]);
                }
                sums[v] = times(sums[v], mask);
            }
            std::memcpy(&result, sums, sizeof(result));
        }
        panel[row * kChunks + (chunk ^ row % kChunks)] = result;
    }

  private:
    Places<T> places_;
    const uint4 *x_, *from_ = nullptr;
    bool is_channel_ = false;
    int first_ = 0;
    uint4 pixels_[4]{};  // whole: taken apart, they would be waited for before the product
};

// A warp's sums: 16 * kTall outputs x 64 points.
template <int kTall>
using Sums = float[kTall][8][4];

// Where a lane's sum lies.
template <class T>
__device__ int output_of(int i, int k, int lane) {
    return sizeof(T) == 2 ? i * 16 + k / 2 * 8 + lane / 4 : i * 16 + k * 4 + lane / 8;
}
template <class T>
__device__ int point_of(int j, int k, int lane) {
    return sizeof(T) == 2 ? j * 8 + lane % 4 * 2 + k % 2 : j * 8 + lane % 8;
}

// What the tensor cores multiply in a quarter of a step, 2 chunks. Chunk c of a row r lies at c ^ r % 8, so that 8 rows
// that are read at a time lie on different banks.
template <class T, int kTall>
struct Fragments {
    uint32_t a[kTall][4], b[4][4];

    __device__ void load(const uint4* weights, const uint4* samples, int quarter, int lane) {
#pragma unroll
        for (int i = 0; i < kTall; ++i) {
            const int row = i * 16 + lane % 16, chunk = (lane / 16 ^ lane % kChunks) ^ 2 * quarter;
            load_matrices(a[i], &weights[row * kChunks + chunk]);
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int row = j * 16 + lane / 16 * 8 + lane % 8, chunk = (lane / 8 % 2 ^ lane % kChunks) ^ 2 * quarter;
            load_matrices(b[j], &samples[row * kChunks + chunk]);
        }
    }
    __device__ void multiply_to(Sums<kTall>& sums) const {
#pragma unroll
        for (int i = 0; i < kTall; ++i) {
#pragma unroll
            for (int j = 0; j < 8; ++j) {
                const uint32_t column[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
                multiply<T>(sums[i][j], a[i], column);
            }
        }
    }
};

// The same on plain multiply-adds.
template <int kTall>
__device__ void multiply_quarter(const uint4* weights, const uint4* samples, Sums<kTall>& sums, int quarter, int lane) {
#pragma unroll
    for (int chunk = 2 * quarter; chunk < 2 * quarter + 2; ++chunk) {
        Vector<float, 4> points[8];
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            std::memcpy(&points[j], &samples[(j * 8 + lane % 8) * kChunks + (chunk ^ lane % 8)], 16);
        }
#pragma unroll
        for (int i = 0; i < 4 * kTall; ++i) {
            const int row = i * 4 + lane / 8;
            Vector<float, 4> output;
            std::memcpy(&output, &weights[row * kChunks + (chunk ^ row % 8)], 16);
#pragma unroll
            for (int j = 0; j < 8; ++j) {
#pragma unroll
                for (int v = 0; v < 4; ++v) sums[i / 4][j][i % 4] += output.values[v] * points[j].values[v];
            }
        }
    }
}

template <class T, int kTall>
__global__ void __launch_bounds__(kThreads) convolve(const DeformConvCall call, const Layout layout, const Plan plan,
                                                     const uint4* x, const uint4* weight, Vector<float, 4>* partial,
                                                     int* arrivals) {
    constexpr int kOutputs = 64 * kTall, kRows = kOutputs + kPoints;
    constexpr bool kAhead = sizeof(T) == 2 && kTall <= 2;  // matrices of two quarters fit the registers
    constexpr int kStride = kPoints + kVector<T>;  // of results
    static_assert(kOutputs * kStride * static_cast<int>(sizeof(T)) <= bytes_of_panels<T>(kTall) + bytes_of_tap<T>(),
                  "the results do not fit");
    DETFORGE_DYNAMIC_SHARED(memory);
    __shared__ bool is_last;
    Places<T> places;
    places.pixels = memory + 2 * kRows * kChunks;
    places.weights = reinterpret_cast<Vector<T, 4>*>(places.pixels + plan.taps_at_once * kPoints);
    places.masks = reinterpret_cast<T*>(places.weights + plan.taps_at_once * kPoints);
    const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
    const int warp_output = warp / 2 * 16 * kTall, warp_point = warp % 2 * 64;
    const unsigned output_tiles = divide_up(static_cast<unsigned>(call.group_outputs()), unsigned{kOutputs});
    const unsigned point_tiles = divide_up(static_cast<unsigned>(call.points()), unsigned{kPoints});
    const unsigned groups = static_cast<unsigned>(call.groups), splits = static_cast<unsigned>(plan.splits);
    const unsigned item = blockIdx.x, number = item / splits;
    const int split = static_cast<int>(item % splits);
    Tile tile;
    tile.first_output = number % output_tiles * kOutputs, tile.group = number / output_tiles % groups;
    tile.first_point = number / output_tiles / groups % point_tiles * kPoints;
    tile.image = number / output_tiles / groups / point_tiles;
    const int64_t outputs = call.group_outputs() - tile.first_output, points = call.points() - tile.first_point;
    const bool works = warp_output < outputs && warp_point < points;
    const int last_output = static_cast<int>(outputs < kOutputs ? outputs : kOutputs) - 1;
    const uint4* weights = weight + (tile.group * layout.outputs + tile.first_output) * layout.row();
    const int steps = layout.row() / kChunks, first = static_cast<int>(int64_t{steps} * split / plan.splits);
    const int count = static_cast<int>(int64_t{steps} * (split + 1) / plan.splits) - first;

    Step step(layout, plan.taps_at_once, first);
    Sampler<T> sampler(places, x);
    const auto copy_weights = [&](uint4* panel) {
        const int chunk = thread % kChunks, row = thread / kChunks;
        const int start = (step.segment * layout.taps + step.tap) * layout.chunks + step.chunk + chunk;
        const uint4* from = weights + (row * layout.row() + start);
        uint4* to = panel + row * kChunks + (chunk ^ row % kChunks);
#pragma unroll
        for (int i = 0; i < kOutputs * kChunks / kThreads; ++i) {
            copy_async(&to[i * kThreads], from);
            from += kThreads / kChunks * layout.row();
        }
    };
    Sums<kTall> sums = {};
    bool is_elsewhere = true;
    for (int i = -1; i < count; ++i) {  // multiplies step i and brings step i + 1
        uint4 *now = memory + (i & 1) * kRows * kChunks, *next = memory + (~i & 1) * kRows * kChunks;
        const bool goes_on = i + 1 < count;
        wait_for_copies();
        __syncthreads();
        if (goes_on) {
            if (i >= 0) is_elsewhere = step.advance(layout, plan.taps_at_once);
            copy_weights(next);
            if (is_elsewhere) {
                find(places, call, layout, tile, step, step.taps_from(layout, plan.taps_at_once));
                __syncthreads();
            }
            sampler.go_to(layout, tile, step);
        }
        const bool multiplies = works && i >= 0;
        const uint4 *rows = now + warp_output * kChunks, *columns = now + (kOutputs + warp_point) * kChunks;
        Fragments<T, kTall> fragments[2];
        __syncwarp();  // matrices are loaded by whole warps
        if constexpr (kAhead) {
            if (multiplies) fragments[0].load(rows, columns, 0, lane);
        }
#pragma unroll
        for (int quarter = 0; quarter < 4; ++quarter) {
            static_assert(Sampler<T>::kEach == 4, "one for each quarter of a step");
            if (goes_on) sampler.fetch(quarter);
            __syncwarp();  // fetch() branches
            if (multiplies) {
                if constexpr (sizeof(T) == 4) {
                    multiply_quarter<kTall>(rows, columns, sums, quarter, lane);
                } else if constexpr (kAhead) {
                    if (quarter < 3) fragments[(quarter + 1) % 2].load(rows, columns, quarter + 1, lane);
                    fragments[quarter % 2].multiply_to(sums);
                } else {
                    fragments[0].load(rows, columns, quarter, lane);
                    fragments[0].multiply_to(sums);
                }
            }
            if (goes_on) sampler.store(next + kOutputs * kChunks, quarter);
        }
    }
    if (plan.splits > 1) {  // the block that comes last adds the sums of all, in their order
        constexpr int64_t kSums = kTall * 8 * kThreads;
#pragma unroll
        for (int i = 0; i < kTall * 8; ++i) {
            Vector<float, 4> sum;
            std::memcpy(&sum, &sums[i / 8][i % 8], sizeof(sum));
            partial[int64_t{item} * kSums + i * kThreads + thread] = sum;
        }
        __syncthreads();
        if (thread == 0) {
            __threadfence();
            is_last = atomicAdd(&arrivals[number], 1) == plan.splits - 1;
            __threadfence();
        }
        __syncthreads();
        if (!is_last) return;
        const Vector<float, 4>* parts = partial + int64_t{number} * plan.splits * kSums + thread;
#pragma unroll 1
        for (int part = 0; part < plan.splits; ++part, parts += kSums) {
#pragma unroll
            for (int i = 0; i < kTall * 8; ++i) {
                const Vector<float, 4> more = parts[i * kThreads];
#pragma unroll
                for (int k = 0; k < 4; ++k) {
                    sums[i / 8][i % 8][k] = part == 0 ? more.values[k] : sums[i / 8][i % 8][k] + more.values[k];
                }
            }
        }
    }
    __syncthreads();
    const T* bias = static_cast<const T*>(call.bias) + tile.group * call.group_outputs() + tile.first_output;
    T* results = reinterpret_cast<T*>(memory);
#pragma unroll
    for (int i = 0; i < kTall; ++i) {
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            const int output = warp_output + output_of<T>(i, k, lane);
            const float add = output < outputs ? to_float(bias[output]) : 0.0f;
#pragma unroll
            for (int j = 0; j < 8; ++j) {
                const int point = warp_point + point_of<T>(j, k, lane);
                results[output * kStride + point] = from_float<T>(sums[i][j][k] + add);
            }
        }
    }
    __syncthreads();
    T* y = static_cast<T*>(call.y) +
           ((tile.image * call.groups + tile.group) * call.group_outputs() + tile.first_output) * call.points() +
           tile.first_point;
    if (plan.has_vectors) {
        constexpr int kVectors = kPoints / kVector<T>;
        const int point = thread % kVectors * kVector<T>;
        for (int output = thread / kVectors; output <= last_output; output += kThreads / kVectors) {
            if (point >= points) continue;
            *reinterpret_cast<uint4*>(y + output * call.points() + point) =
                *reinterpret_cast<const uint4*>(results + output * kStride + point);
        }
    } else {
        const int point = thread % kPoints;
        for (int output = thread / kPoints; output <= last_output; output += kThreads / kPoints) {
            if (point < points) y[output * call.points() + point] = results[output * kStride + point];
        }
    }
}

// The simple kernel: points of a block, outputs of each thread, channels whose weights are shared at a time.
constexpr int kSimplePoints = 128, kSideBySide = 32, kShared = 32;

// The sample of a tap at a point, and what it is multiplied by: 1 where there is no mask.
struct Tap {
    BilinearSample sample;
    float mask;
};

template <class T>
__device__ Tap find_tap(const DeformConvCall& call, int64_t image, int64_t offset_group, int64_t tap, int64_t point) {
    const int64_t points = call.points(), index = (image * call.offset_groups + offset_group) * call.taps() + tap;
    const T* offset = static_cast<const T*>(call.offset) + 2 * index * points + point;
    const int64_t row = point / call.out_width, column = point % call.out_width;
    const int64_t tap_row = tap / call.kernel_width, tap_column = tap % call.kernel_width;
    const float y = tap_position(row, tap_row, call.stride[0], call.pad[0], call.dilation[0]) + to_float(offset[0]);
    const float x =
        tap_position(column, tap_column, call.stride[1], call.pad[1], call.dilation[1]) + to_float(offset[points]);
    const float mask = call.mask == nullptr ? 1.0f : to_float(static_cast<const T*>(call.mask)[index * points + point]);
    return {bilinear_sample(y, x, static_cast<int>(call.height), static_cast<int>(call.width)), mask};
}

template <class T>
__global__ void __launch_bounds__(kSimplePoints) convolve_simply(const DeformConvCall call, int64_t segment,
                                                                 int64_t tiles) {
    __shared__ float weights[kShared][kSideBySide];
    const int64_t group_outputs = call.group_outputs(), points = call.points(), taps = call.taps();
    const int64_t pixels = call.height * call.width, row = call.group_channels() * taps;
    const int64_t output_tiles = divide_up<int64_t>(group_outputs, kSideBySide);
    const int64_t point_tiles = divide_up<int64_t>(points, kSimplePoints);
    for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const int64_t point = tile % point_tiles * kSimplePoints + threadIdx.x;
        const int64_t first = tile / point_tiles % output_tiles * kSideBySide;
        const int64_t group = tile / point_tiles / output_tiles % call.groups;
        const int64_t image = tile / point_tiles / output_tiles / call.groups;
        const int64_t first_output = group * group_outputs + first, first_channel = group * call.group_channels();
        const int count = static_cast<int>(group_outputs - first < kSideBySide ? group_outputs - first : kSideBySide);
        const T* weight = static_cast<const T*>(call.weight) + first_output * row;
        const T* x = static_cast<const T*>(call.x) + (image * call.channels + first_channel) * pixels;
        float sums[kSideBySide] = {};
        // The channels of a segment share their samples' places.
        for (int64_t i = 0; i < call.group_channels() / segment * taps; ++i) {
            const int64_t tap = i % taps, start = i / taps * segment, end = start + segment;
            Tap now{{{-1, -1, -1, -1}, {0.0f, 0.0f, 0.0f, 0.0f}}, 0.0f};
            if (point < points) {
                now = find_tap<T>(call, image, (first_channel + start) / call.offset_group_channels(), tap, point);
            }
            for (int64_t panel = start; panel < end; panel += kShared) {
                const int channels = static_cast<int>(end - panel < kShared ? end - panel : kShared);
                __syncthreads();
                for (int k = threadIdx.x; k < channels * kSideBySide; k += kSimplePoints) {
                    const int c = k / kSideBySide, output = k % kSideBySide;
                    const int64_t place = output * row + (panel + c) * taps + tap;
                    weights[c][output] = output < count ? to_float(weight[place]) : 0.0f;
                }
                __syncthreads();
#pragma unroll 4
                for (int c = 0; c < channels; ++c) {
                    const T* from = x + (panel + c) * pixels;
                    float value = 0.0f;
#pragma unroll
                    for (int corner = 0; corner < 4; ++corner) {
                        const int pixel = now.sample.pixel[corner];
                        if (pixel >= 0) value += now.sample.weight[corner] * to_float(from[pixel]);
                    }
                    value *= now.mask;
#pragma unroll
                    for (int output = 0; output < kSideBySide; ++output) sums[output] += value * weights[c][output];
                }
            }
        }
        T* y = static_cast<T*>(call.y) + (image * call.outputs + first_output) * points + point;
#pragma unroll
        for (int output = 0; output < kSideBySide; ++output) {
            if (output >= count || point >= points) continue;
            const float bias = to_float(static_cast<const T*>(call.bias)[first_output + output]);
            y[output * points] = from_float<T>(sums[output] + bias);
        }
    }
}

template <class T, int kTall>
int start(const DeformConvCall& call, const Layout& layout, const Plan& plan, const Workspace& workspace, char* memory,
          void* stream) {
    const auto kernel = convolve<T, kTall>;
    const int shared = bytes_of_panels<T>(kTall) + plan.taps_at_once * bytes_of_tap<T>();
    const int error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
    if (error != cudaSuccess) return error;
    const uint4 *x = reinterpret_cast<uint4*>(memory), *weight = reinterpret_cast<uint4*>(memory + workspace.weight);
    auto* partial = reinterpret_cast<Vector<float, 4>*>(memory + workspace.partial);
    auto* arrivals = reinterpret_cast<int*>(memory + workspace.arrivals);
    const dim3 grid(static_cast<unsigned>(plan.tiles * plan.splits));
    DeformConvCall first = call;
    Layout second = layout;
    Plan third = plan;
    void* arguments[] = {&first, &second, &third, &x, &weight, &partial, &arrivals};
    return cudaLaunchKernel(kernel, grid, dim3(kThreads), arguments, static_cast<size_t>(shared),
                            static_cast<cudaStream_t>(stream));
}

template <class T>
int in_panels(const DeformConvCall& call, DType dtype, void* memory, void* stream) {
    int device = 0, shared = 0;
    int error = cudaGetDevice(&device);
    if (error == cudaSuccess) {
        error = cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    }
    if (error != cudaSuccess) return error;
    const Layout layout = layout_of(call, kVector<T>);
    const Plan plan = plan_of<T>(call, layout, shared - 64);  // `is_last` and what it is aligned to
    const Workspace workspace = workspace_of(call, dtype);
    char* bytes = static_cast<char*>(memory);
    error = launch_channels_last<T>(call.x, memory, call.batch, call.channels, call.height * call.width, stream);
    if (error != cudaSuccess) return error;
    const int64_t count = call.groups * layout.outputs * layout.row() * (kVector<T> / 2);  // of pairs
    uint4* x = static_cast<uint4*>(memory);
    error = launch(pack<T>, divide_up<int64_t>(count, kThreads), kThreads, stream, call, layout,
                   reinterpret_cast<Vector<T, 2>*>(bytes + workspace.weight),
                   x + call.batch * call.height * call.width * (call.channels / kVector<T>),
                   reinterpret_cast<int*>(bytes + workspace.arrivals), count);
    if (error != cudaSuccess) return error;
    if constexpr (sizeof(T) == 2) {
        if (plan.tall == 4) return start<T, 4>(call, layout, plan, workspace, bytes, stream);
    }
    if (plan.tall == 2) return start<T, 2>(call, layout, plan, workspace, bytes, stream);
    return start<T, 1>(call, layout, plan, workspace, bytes, stream);
}

}  // namespace

template <bool kModulated>
size_t DeformConvBase<kModulated>::workspace(const Call& given, DType dtype) {
    const DeformConvCall call = read(given);
    return is_for_panels(call, dtype) ? static_cast<size_t>(workspace_of(call, dtype).size) : 0;
}

template <bool kModulated>
int DeformConvBase<kModulated>::cuda(const Call& given, DType dtype, void* workspace, void* stream) {
    const DeformConvCall call = read(given);
    if (given.output.size() == 0) return cudaSuccess;
    return with_type(dtype, [&](auto zero) -> int {
        using T = decltype(zero);
        const bool fits = reinterpret_cast<uintptr_t>(workspace) % 16 == 0;
        if (fits && is_for_panels(call, dtype)) return in_panels<T>(call, dtype, workspace, stream);
        const int64_t tiles = call.batch * call.groups * divide_up<int64_t>(call.group_outputs(), kSideBySide) *
                              divide_up<int64_t>(call.points(), kSimplePoints);
        return launch<DeformConvCall, int64_t, int64_t>(convolve_simply<T>, tiles, kSimplePoints, stream, call,
                                                        segment_of(call), tiles);
    });
}

template size_t DeformConv::DeformConvBase::workspace(const Call&, DType);
template size_t ModulatedDeformConv::DeformConvBase::workspace(const Call&, DType);
template int DeformConv::DeformConvBase::cuda(const Call&, DType, void*, void*);
template int ModulatedDeformConv::DeformConvBase::cuda(const Call&, DType, void*, void*);

}  // namespace detforge
