// Plan: three kernels. `rank`: a thread for each score counts the better ones, read by tiles of 256 from shared memory;
// no two scores share a rank, so that nothing has to be sorted or counted atomically. `compare`: a block for 64 x 64
// pairs of ranks, the 64 worse boxes in shared memory; a thread makes the 64 bits of one better box. `gather`: a block
// for each image; one thread settles 64 ranks by the bits among them, then all threads gather the bits of what stayed.
//
// Bytes: k^2 / 8 of bits, half of them written, and those of what stays read once. For k = 5000 candidates: 25 million
// comparisons of scores, 12 million of labels, 1.6 MB of bits. Floor on a GPU with 1e13 operations a second: some 10 us,
// and 79 steps of the last kernel, about 1 us each, of which `limit` ends most. Not measured here.
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

    Plan(const Tensor& scores, void* workspace)
        : n(scores[0]), k(scores[1]), words(divide_up<int64_t>(scores[1], kBits)) {
        pairs = static_cast<Bits*>(workspace);
        gone = pairs + n * k * words;
        order = reinterpret_cast<int*>(gone + n * words);
        count = order + n * k;
    }
    static size_t bytes(const Tensor& scores) {
        const Plan plan(scores, nullptr);
        return static_cast<size_t>((plan.n * plan.k + plan.n) * (plan.words * 8 + 4));
    }
};

template <class T>
__global__ void __launch_bounds__(kThreads) rank(const T* scores, Plan plan, int64_t tiles) {
    __shared__ float others[kThreads];
    const int64_t per_image = divide_up<int64_t>(plan.k, kThreads);
    for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const int64_t image = tile / per_image, mine = tile % per_image * kThreads + threadIdx.x;
        const T* row = scores + image * plan.k;
        const float score = mine < plan.k ? to_float(row[mine]) : 0.0f;
        int better = 0, positive = 0;
        for (int64_t start = 0; start < plan.k; start += kThreads) {
            __syncthreads();
            others[threadIdx.x] = start + threadIdx.x < plan.k ? to_float(row[start + threadIdx.x]) : 0.0f;
            __syncthreads();
            for (int i = 0; i < kThreads; ++i) {
                const float other = others[i];
                positive += other > 0.0f;
                better += other > score || (other == score && start + i < mine);
            }
        }
        if (score > 0.0f) plan.order[image * plan.k + better] = static_cast<int>(mine);
        if (mine == 0) plan.count[image] = positive;
        __syncthreads();
    }
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
            if (worse_labels[i] == label && suppresses(box, worse[i], threshold)) bits |= Bits{1} << i;
        }
        plan.pairs[(first + mine) * plan.words + column] = bits;
    }
}

template <class T>
__global__ void __launch_bounds__(kThreads) gather(const T* scores, T* y, Plan plan, int64_t limit) {
    __shared__ Bits among[kBits];
    __shared__ Bits stay;
    __shared__ int64_t kept;
    const int thread = threadIdx.x;
    for (int64_t image = blockIdx.x; image < plan.n; image += gridDim.x) {
        const int64_t first = image * plan.k, count = plan.count[image];
        Bits* gone = plan.gone + image * plan.words;
        for (int64_t i = thread; i < plan.k * 2; i += kThreads) y[first * 2 + i] = from_float<T>(0.0f);
        for (int64_t i = thread; i < plan.words; i += kThreads) gone[i] = 0;
        if (thread == 0) kept = 0;
        __syncthreads();
        for (int64_t word = 0; word * kBits < count && kept < limit; ++word) {
            const int64_t start = first + word * kBits, rest = count - word * kBits;
            const int ranks = static_cast<int>(rest < kBits ? rest : kBits);
            if (thread < ranks) among[thread] = plan.pairs[(start + thread) * plan.words + word];
            __syncthreads();
            if (thread == 0) {
                Bits removed = gone[word];
                stay = 0;
                for (int i = 0; i < ranks && kept < limit; ++i) {
                    if (removed >> i & 1) continue;
                    removed |= among[i];
                    stay |= Bits{1} << i;
                    const int place = plan.order[start + i];
                    T* row = y + (first + kept) * 2;
                    row[0] = scores[first + place];
                    row[1] = from_float<T>(static_cast<float>(place));
                    ++kept;
                }
            }
            __syncthreads();
            for (int64_t later = word + 1 + thread; later * kBits < count; later += kThreads) {
                Bits removed = gone[later];
                for (int i = 0; i < ranks; ++i) {
                    if (stay >> i & 1) removed |= plan.pairs[(start + i) * plan.words + later];
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
    const int64_t rank_tiles = plan.n * divide_up<int64_t>(plan.k, kThreads);
    const int64_t pair_tiles = plan.n * plan.words * plan.words;
    if (const int error = launch(rank<T>, rank_tiles, kThreads, stream, scores, plan, rank_tiles)) return error;
    if (const int error = launch(compare<T>, pair_tiles, kBits, stream, boxes, labels, iou, plan, pair_tiles)) {
        return error;
    }
    const int64_t images = plan.k == 0 ? 0 : plan.n;
    return launch(gather<T>, images, kThreads, stream, scores, call.output.as<T>(), plan, call.attributes[1]);
}

}  // namespace

size_t Nms::workspace(const Call& call, DType) { return Plan::bytes(call.inputs[1]); }

int Nms::cuda(const Call& call, DType dtype, void* workspace, void* stream) {
    const Plan plan(call.inputs[1], workspace);
    return with_type(dtype, [&](auto zero) { return suppress<decltype(zero)>(call, plan, stream); });
}

}  // namespace detforge
