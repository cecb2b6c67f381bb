#include "cuda_runtime.h"

#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace emulator {
namespace {

constexpr size_t kStack = 256 << 10;
constexpr unsigned kWarp = 32, kMostThreads = 1024;
enum class State { kReady, kAtBlockBarrier, kAtWarpBarrier, kDone };

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack{new char[kStack]};
    State state;
    uint3 index;
    unsigned exchanges;  // so far
    std::vector<std::pair<uint4*, const uint4*>> copies;  // that are not waited for yet
};

std::vector<Fiber> fibers(kMostThreads);
unsigned count, current;
ucontext_t scheduler;
const std::function<void()>* body;
// Two sets of slots in turn: a lane that is through with an exchange may begin the next one while others still read.
alignas(64) char slots[kMostThreads / kWarp][2][kWarp][kSlot];

void enter() {
    (*body)();
    fibers[current].state = State::kDone;
}

void wait(State state) {
    fibers[current].state = state;
    swapcontext(&fibers[current].context, &scheduler);
}

// Lets threads first..last - 1 go on if all that are not done wait at such a barrier; returns whether any did.
bool release(unsigned first, unsigned last, State barrier) {
    bool any = false;
    for (unsigned i = first; i < last; ++i) {
        if (fibers[i].state == State::kDone) continue;
        if (fibers[i].state != barrier) return false;
        any = true;
    }
    for (unsigned i = first; any && i < last; ++i) {
        if (fibers[i].state == barrier) fibers[i].state = State::kReady;
    }
    return any;
}

// A function of its own, as getcontext may return twice.
void begin(Fiber& fiber, unsigned i) {
    fiber.state = State::kReady;
    fiber.exchanges = 0;
    fiber.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, enter, 0);
}

void run_block() {
    for (unsigned i = 0; i < count; ++i) begin(fibers[i], i);
    for (unsigned turn = 0;; ++turn) {
        bool any = false;
        for (unsigned i = 0; i < count; ++i) {
            current = turn % 2 != 0 ? count - 1 - i : i;
            if (fibers[current].state != State::kReady) continue;
            any = true;
            threadIdx = fibers[current].index;
            swapcontext(&scheduler, &fibers[current].context);
        }
        for (unsigned i = 0; i < count; i += kWarp) any |= release(i, i + kWarp, State::kAtWarpBarrier);
        any |= release(0, count, State::kAtBlockBarrier);
        if (any) continue;
        for (unsigned i = 0; i < count; ++i) {
            if (fibers[i].state == State::kDone) continue;
            std::fprintf(stderr, "emulator: thread %u waits at a barrier that others passed by\n", i);
            std::abort();
        }
        return;
    }
}

}  // namespace

unsigned lane() { return current % kWarp; }
void block_barrier() { wait(State::kAtBlockBarrier); }
void warp_barrier() { wait(State::kAtWarpBarrier); }

void copy_async(uint4* shared, const uint4* from) { fibers[current].copies.emplace_back(shared, from); }
void wait_for_copies() {
    for (const auto& [shared, from] : fibers[current].copies) *shared = *from;
    fibers[current].copies.clear();
}

const char* exchange(const void* value, size_t bytes) {
    auto& mine = slots[current / kWarp][fibers[current].exchanges++ % 2];
    std::memcpy(mine[lane()], value, bytes);
    wait(State::kAtWarpBarrier);
    return mine[0];
}

cudaError_t run(dim3 grid, dim3 block, const std::function<void()>& thread) {
    count = block.x * block.y * block.z;
    const bool fits = grid.x > 0 && grid.y > 0 && grid.z > 0 && count > 0 && count <= kMostThreads;
    if (!fits || count % kWarp != 0) return cudaErrorInvalidConfiguration;
    gridDim = grid, blockDim = block, body = &thread;
    for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z) {
        for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y) {
            for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) run_block();
        }
    }
    return cudaSuccess;
}

}  // namespace emulator
