// Plan: three kernels. `rank`: a block for 32 scores counts the better ones of each, with 8 threads a score that read
// all scores by tiles from shared memory; no two scores share a rank, so that nothing has to be sorted or counted
// atomically. `compare`: a block for 64 x 64 pairs of ranks, the 64 worse boxes in shared memory; a thread makes the 64
// bits of one better box, in float, and in double where that is too close to tell. `gather`: a block for each image;
// one thread settles 64 ranks by the bits among them, a step for each that stays, then all threads gather the bits of
// those. What the next 64 ranks need is read meanwhile.
//
// Bytes: k^2 / 8 of bits, half of them written, and those of what stays read once. For k = 5000 candidates: 25 million
// comparisons of scores, 12 million of labels, 1.6 MB of bits, and up to 79 steps of the last kernel, of which `limit`
// ends most. Not measured here.
#include "../core/device.h"
#include "kernel.h"

namespace detforge {
namespace {

constexpr int kThreads = 256;
constexpr int kBits = 64;
using Bits = unsigned long long;

// What the kernels tell each other, for n images of k boxes.
struct Plan {
    int64_t n, k, words;
    Bits *pairs, *gone;  // (n, k, words): whom each rank suppresses; (n, words): who is suppressed so far
    int *order, *count;  // (n, k): the position of each rank; (n): how many have a score above 0
    float* scores;       // (n, k): of each rank

    Plan(const Tensor& given, void* workspace)
        : n(given[0]), k(given[1]), words(divide_up<int64_t>(given[1], kBits)) {
        pairs = static_cast<Bits*>(workspace);
        gone = pairs + n * k * words;
        order = reinterpret_cast<int*>(gone + n * words);
        count = order + n * k;
        scores = reinterpret_cast<float*>(count + n);
    }
    static size_t bytes(const Tensor& scores) {
        const Plan plan(scores, nullptr);
        return static_cast<size_t>((plan.n * plan.k + plan.n) * (plan.words * 8 + 4) + plan.n * plan.k * 4);
    }
};

constexpr int kRanked = kWarp;  // scores of a block, one for each lane of its warps

template <class T>
__global__ void __launch_bounds__(kThreads) rank(const T* scores, Plan plan, int64_t tiles) {
    constexpr int kWarps = kThreads / kWarp;
    __shared__ float others[kThreads];
    __shared__ int better[kWarps][kRanked], positive[kWarps];
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const int64_t per_image = divide_up<int64_t>(plan.k, kRanked);
    for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const int64_t image = tile / per_image, chunk = tile % per_image, mine = chunk * kRanked + lane;
        const T* row = scores + image * plan.k;
        const auto score_at = [&](int64_t i) { return i < plan.k ? to_float(row[i]) : 0.0f; };
        const float score = score_at(mine);
        int own_better = 0, own_positive = 0;
        for (int64_t start = 0; start < plan.k; start += kThreads) {
            __syncthreads();
            others[threadIdx.x] = score_at(start + threadIdx.x);
            __syncthreads();
            // Each warp takes 32 others, whose positions are all before the lanes' own, all behind, or the same ones.
            const int64_t other_chunk = start / kWarp + warp;
            const float* other = others + warp * kWarp;
            const int equal_before = other_chunk < chunk ? kWarp : other_chunk == chunk ? lane : 0;
#pragma unroll 8
            for (int i = 0; i < kWarp; ++i) {
                own_better += other[i] > score || (other[i] == score && i < equal_before);
                own_positive += other[i] > 0.0f;
            }
        }
        better[warp][lane] = own_better;
        if (lane == 0) positive[warp] = own_positive;
        __syncthreads();
        if (warp == 0 && score > 0.0f) {
            for (int w = 1; w < kWarps; ++w) own_better += better[w][lane];
            plan.order[image * plan.k + own_better] = static_cast<int>(mine);
            plan.scores[image * plan.k + own_better] = score;
        }
        if (mine == 0 && warp == 0) {
            for (int w = 1; w < kWarps; ++w) own_positive += positive[w];
            plan.count[image] = own_positive;
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
__device__ NmsBox box_at(const T* boxes, int64_t place) {
    const T* box = boxes + place * 4;
    return {to_float(box[0]), to_float(box[1]), to_float(box[2]), to_float(box[3])};
}

template <class T>
__global__ void __launch_bounds__(kBits) compare(const T* boxes, const T* labels, const T* iou, Plan plan,
                                                 int64_t tiles) {
    __shared__ NmsBox worse[kBits];
    __shared__ float worse_labels[kBits];
    const float threshold = to_float(*iou);
    const int thread = threadIdx.x;
    for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const int64_t column = tile % plan.words, row = tile / plan.words % plan.words;
        const int64_t image = tile / plan.words / plan.words, first = image * plan.k;
        const int64_t mine = row * kBits + thread, count = plan.count[image];
        if (column < row || column * kBits >= count) continue;  // the same for the whole block
        const int others = static_cast<int>(count - column * kBits < kBits ? count - column * kBits : kBits);
        __syncthreads();
        if (thread < others) {
            const int64_t place = first + plan.order[first + column * kBits + thread];
            worse[thread] = box_at(boxes, place);
            worse_labels[thread] = to_float(labels[place]);
        }
        __syncthreads();
        if (mine >= count) continue;
        const int64_t place = first + plan.order[first + mine];
        const NmsBox box = box_at(boxes, place);
        const float label = to_float(labels[place]);
        Bits bits = 0;
        for (int i = column == row ? thread + 1 : 0; i < others; ++i) {
            if (worse_labels[i] == label && suppresses_surely(box, worse[i], threshold)) bits |= Bits{1} << i;
        }
        plan.pairs[(first + mine) * plan.words + column] = bits;
    }
}

template <class T>
__global__ void __launch_bounds__(kThreads) gather(T* y, Plan plan, int64_t limit) {
    constexpr int kAtOnce = 8;  // words that a thread reads before it needs one
    __shared__ Bits among[kBits];
    __shared__ Bits stay;
    const int thread = threadIdx.x;
    for (int64_t image = blockIdx.x; image < plan.n; image += gridDim.x) {
        const int64_t first = image * plan.k, count = plan.count[image];
        Bits* gone = plan.gone + image * plan.words;
        for (int64_t i = thread; i < plan.k * 2; i += kThreads) y[first * 2 + i] = from_float<T>(0.0f);
        for (int64_t i = thread; i < plan.words; i += kThreads) gone[i] = 0;
        Bits next_among = 0;
        int next_place = 0;
        float next_score = 0.0f;
        const auto read = [&](int64_t word) {
            const int64_t rank = word * kBits + thread;
            if (thread >= kBits || rank >= count) return;
            next_among = plan.pairs[(first + rank) * plan.words + word];
            next_place = plan.order[first + rank];
            next_score = plan.scores[first + rank];
        };
        read(0);
        int64_t kept = 0;
        for (int64_t word = 0; word * kBits < count && kept < limit; ++word) {
            const int64_t start = first + word * kBits, rest = count - word * kBits;
            const int place = next_place;
            const float score = next_score;
            if (thread < kBits) among[thread] = next_among;
            __syncthreads();
            read(word + 1);
            if (thread == 0) {
                Bits left = ~gone[word] & (rest < kBits ? (Bits{1} << rest) - 1 : ~Bits{0}), settled = 0;
                for (int64_t room = limit - kept; left != 0 && room > 0; --room) {
                    const Bits best = left & (~left + 1);
                    settled |= best;
                    left &= ~(best | among[__ffsll(static_cast<long long>(best)) - 1]);
                }
                stay = settled;
            }
            __syncthreads();
            const Bits stayed = stay;
            if (thread < kBits && (stayed >> thread & 1) != 0) {
                const int64_t row = kept + __popcll(stayed & ((Bits{1} << thread) - 1));
                y[(first + row) * 2] = from_float<T>(score);
                y[(first + row) * 2 + 1] = from_float<T>(static_cast<float>(place));
            }
            kept += __popcll(stayed);
            for (int64_t later = word + 1 + thread; later * kBits < count && kept < limit; later += kThreads) {
                Bits removed = gone[later];
                for (Bits left = stayed; left != 0;) {
                    Bits read_now[kAtOnce];
#pragma unroll
                    for (Bits& bits : read_now) {
                        const int i = __ffsll(static_cast<long long>(left)) - 1;
                        bits = left != 0 ? plan.pairs[(start + i) * plan.words + later] : 0;
                        left &= left - 1;
                    }
#pragma unroll
                    for (const Bits bits : read_now) removed |= bits;
                }
                gone[later] = removed;
            }
            __syncthreads();
        }
        __syncthreads();
    }
}

template <class T>
int suppress(const Call& call, const Plan& plan, void* stream) {
    const T *boxes = call.inputs[0].as<const T>(), *scores = call.inputs[1].as<const T>();
    const T *labels = call.inputs[2].as<const T>(), *iou = call.inputs[3].as<const T>();
    const int64_t rank_tiles = plan.n * divide_up<int64_t>(plan.k, kRanked);
    const int64_t pair_tiles = plan.n * plan.words * plan.words;
    if (const int error = launch(rank<T>, rank_tiles, kThreads, stream, scores, plan, rank_tiles)) return error;
    if (const int error = launch(compare<T>, pair_tiles, kBits, stream, boxes, labels, iou, plan, pair_tiles)) {
        return error;
    }
    const int64_t images = plan.k == 0 ? 0 : plan.n;
    return launch(gather<T>, images, kThreads, stream, call.output.as<T>(), plan, call.attributes[1]);
}

}  // namespace

size_t Nms::workspace(const Call& call, DType) { return Plan::bytes(call.inputs[1]); }

int Nms::cuda(const Call& call, DType dtype, void* workspace, void* stream) {
    const Plan plan(call.inputs[1], workspace);
    return with_type(dtype, [&](auto zero) { return suppress<decltype(zero)>(call, plan, stream); });
}

}  // namespace detforge
