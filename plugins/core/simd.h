// Marks for hot CPU loops, which one library serves on every x86-64 processor.
//
// A function marked DETFORGE_CLONES is compiled for several instruction sets and chosen when the library is loaded;
// what it calls must be inlined into it (DETFORGE_INLINE), or it is compiled for the oldest processor only. (The levels
// of x86-64 are chosen by what the processor can do; a name such as "arch=haswell" only by that very processor.)
#pragma once

#if defined(__x86_64__) && defined(__linux__) && __GNUC__ >= 12 && !defined(__CUDACC__) && !defined(DETFORGE_SANITIZE)
#define DETFORGE_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define DETFORGE_CLONES
#endif
#if defined(__GNUC__)
#define DETFORGE_INLINE inline __attribute__((always_inline))
#else
#define DETFORGE_INLINE inline
#endif
