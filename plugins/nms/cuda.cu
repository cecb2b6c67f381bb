// Plan: three kernels. `rank`: a block for 16 positions counts the better scores of each, with 32 threads a position,
// from tiles in shared memory; no two positions share a rank, so that nothing has to be sorted or counted atomically.
// Then it writes their boxes, labels and scores by rank. `compare`: a block for 64 x 64 pairs of ranks, the 64 worse
// boxes in shared memory; a thread makes the 64 bits of one better box: first which labels are equal, then of those the
// overlaps in float, and in double where that is too close to tell. `gather`: a block for each image, 64 ranks at a
// time. A warp settles all of them together, by rounds: who has no better one left stays, who has one that stays is
// gone. The other warps meanwhile gather, from the bits of all that stay so far, who of the next 64 is gone.
//
// Bytes: k^2 / 8 of bits, half of them written, and of those of what stays one word for each 64 ranks walked. For
// k = 5000 candidates: 25 million comparisons of scores with two instructions each, 1.7 us at 4 instructions a clock
// for each of 132 processors, 12 million of labels, half as much, 1.6 MB of bits, and up to 79 steps of the last
// kernel, of which `limit` ends most. 5000 boxes of 80 classes with a limit of 100 take 28 us on an H200.
#include "../core/device.h"
#include "kernel.h"

namespace detforge {
namespace {

constexpr int kBits = 64;
using Bits = unsigned long long;

// What the kernels tell each other, for n images of k positions. Those whose score is not above 0 rank last.
struct Plan {
    int64_t n, k, words;
    NmsBox* boxes;           // (n, k), by rank as all that follows
    Bits* pairs;             // (n, k, words): whom of the worse ones each suppresses, and in its own word who of all
    float *labels, *scores;  // (n, k); a score of 0 is none
    int *order, *kept;       // (n, k): the position of each; the ranks that stay

    Plan(const Tensor& given, void* workspace)
        : n(given[0]), k(given[1]), words(divide_up<int64_t>(given[1], kBits)) {
        boxes = static_cast<NmsBox*>(workspace);
        pairs = reinterpret_cast<Bits*>(boxes + n * k);
        labels = reinterpret_cast<float*>(pairs + n * k * words);
        scores = labels + n * k;
        order = reinterpret_cast<int*>(scores + n * k);
        kept = order + n * k;
    }
    static size_t bytes(const Tensor& scores) {
        const Plan plan(scores, nullptr);
        return static_cast<size_t>(plan.n * plan.k) *
               (sizeof(NmsBox) + static_cast<size_t>(plan.words) * sizeof(Bits) + 2 * sizeof(float) + 2 * sizeof(int));
    }
};

constexpr int kRankThreads = 512;
constexpr int kRanked = 16;                     // positions of a block
constexpr int kParts = kRankThreads / kRanked;  // threads of a position
constexpr int kTile = 8 * kRankThreads;         // scores in shared memory

// Scores as whole numbers in the same order, 0 for those that do not count.
__device__ int key_of(float score) { return score > 0.0f ? __float_as_int(score) : 0; }

template <class T>
__global__ void __launch_bounds__(kRankThreads) rank(const T* boxes, const T* scores, const T* labels, T* y,
                                                     Plan plan) {
    using Four = Vector<int, 4>;
    __shared__ Four others[kTile / 4];
    __shared__ int better[kParts][kRanked];
    const int thread = threadIdx.x, own = thread % kRanked, part = thread / kRanked;
    for (int64_t image = blockIdx.z; image < plan.n; image += gridDim.z) {
        const int64_t first = image * plan.k;
        const auto key_at = [&](int64_t i) { return i < plan.k ? key_of(to_float(scores[first + i])) : -1; };
        for (int64_t start = static_cast<int64_t>(blockIdx.x) * kRanked; start < plan.k;
             start += static_cast<int64_t>(gridDim.x) * kRanked) {
            const int64_t mine = start + own;
            const int key = key_at(mine);
            int count = 0;
            for (int64_t tile = 0; tile < plan.k; tile += kTile) {
                __syncthreads();
#pragma unroll
                for (int i = 0; i < kTile; i += kRankThreads) {
                    others[(i + thread) / 4].values[(i + thread) % 4] = key_at(tile + i + thread);
                }
                __syncthreads();
                const int size = static_cast<int>(plan.k - tile < kTile ? plan.k - tile : kTile);
                for (int group = part * kRanked; group < size; group += kRankThreads) {
                    // Of equal scores the first ranks higher: those in groups before one's own are better.
                    const int least = tile + group < start ? key - 1 : key;
#pragma unroll
                    for (int i = 0; i < kRanked / 4; ++i) {
                        const Four four = others[group / 4 + i];
#pragma unroll
                        for (int v = 0; v < 4; ++v) {
                            count += four.values[v] > least;
                            if (tile + group == start) count += four.values[v] == key && i * 4 + v < own;
                        }
                    }
                }
            }
            better[part][own] = count;
            __syncthreads();
            if (part == 0 && mine < plan.k) {
                for (int other = 1; other < kParts; ++other) count += better[other][own];
                const int64_t to = first + count;
                const T* box = boxes + (first + mine) * 4;
                plan.boxes[to] = {to_float(box[0]), to_float(box[1]), to_float(box[2]), to_float(box[3])};
                plan.labels[to] = to_float(labels[first + mine]);
                plan.scores[to] = key > 0 ? to_float(scores[first + mine]) : 0.0f;
                plan.order[to] = static_cast<int>(mine);
                y[(first + mine) * 2] = y[(first + mine) * 2 + 1] = from_float<T>(0.0f);
            }
        }
    }
}

// suppresses(), in float where that is sure: its error is below 16 roundings of both areas.
__device__ bool suppresses_surely(const NmsBox& a, const NmsBox& b, float threshold) {
    const float w = fminf(a.x2, b.x2) - fmaxf(a.x1, b.x1), h = fminf(a.y2, b.y2) - fmaxf(a.y1, b.y1);
    if (w <= 0.0f || h <= 0.0f) return false;
    const float areas = (a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1);
    const float excess = w * h - threshold * (areas - w * h), error = 1e-6f * areas * (1.0f + fabsf(threshold));
    const bool is_sure = fabsf(excess) > error && areas > 1e-20f;  // false for what is not finite
    return is_sure ? excess > 0.0f : suppresses(a, b, threshold);
}

template <class T>
__global__ void __launch_bounds__(kBits) compare(const T* iou, Plan plan) {
    using Four = Vector<float, 4>;
    __shared__ NmsBox worse[kBits];
    __shared__ Four worse_labels[kBits / 4];
    const float threshold = to_float(*iou);
    const int thread = threadIdx.x;
    for (int64_t image = blockIdx.z; image < plan.n; image += gridDim.z) {
        const int64_t first = image * plan.k;
        for (int64_t row = blockIdx.y; row < plan.words; row += gridDim.y) {
            for (int64_t column = blockIdx.x; column < plan.words; column += gridDim.x) {
                if (column < row || !(plan.scores[first + column * kBits] > 0.0f)) continue;  // the whole block
                const int64_t other = column * kBits + thread, mine = row * kBits + thread;
                __syncthreads();
                if (other < plan.k) {
                    worse[thread] = plan.boxes[first + other];
                    worse_labels[thread / 4].values[thread % 4] = plan.labels[first + other];
                }
                __syncthreads();
                if (mine >= plan.k) continue;
                const NmsBox box = plan.boxes[first + mine];
                const float label = plan.labels[first + mine];
                Bits bits = 0;
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    unsigned equal = 0;
#pragma unroll
                    for (int i = 0; i < kWarp / 4; ++i) {
                        const Four four = worse_labels[half * kWarp / 4 + i];
#pragma unroll
                        for (int v = 0; v < 4; ++v) equal |= four.values[v] == label ? 1u << (i * 4 + v) : 0u;
                    }
                    for (unsigned left = equal; left != 0; left &= left - 1) {
                        const int i = half * kWarp + __ffs(static_cast<int>(left)) - 1;
                        if (suppresses_surely(box, worse[i], threshold)) bits |= Bits{1} << i;
                    }
                }
                plan.pairs[(first + mine) * plan.words + column] = bits;
            }
        }
    }
}

constexpr int kGatherThreads = 256;

__device__ Bits any_of_warp(Bits bits) {
#pragma unroll
    for (int step = kWarp / 2; step > 0; step /= 2) bits |= __shfl_xor_sync(kWholeWarp, bits, step);
    return bits;
}

// Lane l's are the ranks l and l + 32 of a word: whether each is so.
__device__ Bits both_of_warp(bool low, bool high) {
    const Bits lower = __ballot_sync(kWholeWarp, low);
    return lower | static_cast<Bits>(__ballot_sync(kWholeWarp, high)) << kWarp;
}

template <class T>
__global__ void __launch_bounds__(kGatherThreads) gather(T* y, Plan plan, int64_t limit) {
    constexpr int kWarps = kGatherThreads / kWarp;
    __shared__ Bits removed[2][kWarps];  // by each warp, of an even word and of an odd one
    __shared__ int64_t kept[2];          // before it; `limit` where no more are wanted
    const int thread = threadIdx.x, lane = thread % kWarp, warp = thread / kWarp;
    for (int64_t image = blockIdx.x; image < plan.n; image += gridDim.x) {
        const int64_t first = image * plan.k;
        const auto pairs_of = [&](int64_t rank, int64_t word) {
            return rank < plan.k && word < plan.words ? plan.pairs[(first + rank) * plan.words + word] : 0;
        };
        __syncthreads();
        if (thread < kWarps) removed[0][thread] = 0;
        if (thread == 0) kept[0] = 0;
        __syncthreads();
        for (int64_t word = 0; word < plan.words && kept[word % 2] < limit; ++word) {
            const int now = static_cast<int>(word % 2), next = 1 - now;
            const int64_t before = kept[now];
            Bits gone = 0;
            if (warp > 0) {
#pragma unroll 4
                for (int64_t i = thread - kWarp; i < before; i += kGatherThreads - kWarp) {
                    gone |= pairs_of(plan.kept[first + i], word + 1);
                }
            } else {
                const int64_t low = word * kBits + lane, high = low + kWarp;
                const Bits above_low = (Bits{1} << lane) - 1, above_high = (Bits{1} << (lane + kWarp)) - 1;
                const Bits low_next = pairs_of(low, word + 1), high_next = pairs_of(high, word + 1);
                const Bits by_low = pairs_of(low, word) & above_low, by_high = pairs_of(high, word) & above_high;
                const float low_score = low < plan.k ? plan.scores[first + low] : 0.0f;
                const float high_score = high < plan.k ? plan.scores[first + high] : 0.0f;
                const Bits given = both_of_warp(low_score > 0.0f, high_score > 0.0f);
                Bits left = given & ~any_of_warp(lane < kWarps ? removed[now][lane] : 0), stay = 0;
                while (stay != left) {
                    stay = left & both_of_warp((by_low & left) == 0, (by_high & left) == 0);
                    left &= ~both_of_warp((by_low & stay) != 0, (by_high & stay) != 0);
                }
                const auto keep = [&](int64_t rank, float score, Bits above) {
                    const int64_t row = before + __popcll(stay & above);
                    if ((stay & (above + 1)) == 0 || row >= limit) return;
                    plan.kept[first + row] = static_cast<int>(rank);
                    y[(first + row) * 2] = from_float<T>(score);
                    y[(first + row) * 2 + 1] = from_float<T>(static_cast<float>(plan.order[first + rank]));
                };
                keep(low, low_score, above_low);
                keep(high, high_score, above_high);
                if (lane == 0) kept[next] = given == 0 ? limit : before + __popcll(stay);
                gone = (stay & (above_low + 1)) != 0 ? low_next : 0;
                gone |= (stay & (above_high + 1)) != 0 ? high_next : 0;
            }
            gone = any_of_warp(gone);
            if (lane == 0) removed[next][warp] = gone;
            __syncthreads();
        }
    }
}

template <class T>
int suppress(const Call& call, const Plan& plan, void* stream) {
    const T *boxes = call.inputs[0].as<const T>(), *scores = call.inputs[1].as<const T>();
    const T *labels = call.inputs[2].as<const T>(), *iou = call.inputs[3].as<const T>();
    T* y = call.output.as<T>();
    const Tiles ranks(divide_up<int64_t>(plan.k, kRanked), 1, plan.n);
    if (const int error = launch(rank<T>, ranks, kRankThreads, stream, boxes, scores, labels, y, plan)) return error;
    const Tiles pairs(plan.words, plan.words, plan.n);
    if (const int error = launch(compare<T>, pairs, kBits, stream, iou, plan)) return error;
    return launch(gather<T>, plan.k == 0 ? 0 : plan.n, kGatherThreads, stream, y, plan, call.attributes[1]);
}

}  // namespace

size_t Nms::workspace(const Call& call, DType) { return Plan::bytes(call.inputs[1]); }

int Nms::cuda(const Call& call, DType dtype, void* workspace, void* stream) {
    const Plan plan(call.inputs[1], workspace);
    return with_type(dtype, [&](auto zero) { return suppress<decltype(zero)>(call, plan, stream); });
}

}  // namespace detforge
