// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Marks a function as compiled for one SimdLevel. Such a function runs only on a CPU that has the level; the classes
/// in flow.h see to that by choosing once, at construction. Helpers carry the same mark, or they cannot be inlined.
#if defined(__x86_64__)
#define NETRX_X86 1
#define NETRX_AVX2 __attribute__((target("avx2")))
#define NETRX_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,gfni")))
#define NETRX_INLINE_AVX2 NETRX_AVX2 __attribute__((always_inline)) inline
#define NETRX_AVX512_VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))
#define NETRX_INLINE_AVX512 NETRX_AVX512 __attribute__((always_inline)) inline
#define NETRX_INLINE_AVX512_VNNI NETRX_AVX512_VNNI __attribute__((always_inline)) inline

// g++ 12 takes the "undefined" operand of its own intrinsics for a mistake of ours.
#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif
