// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "netrx/flow.h"
#include "wire/simd.h"

namespace netrx::wire {

#if defined(NETRX_X86)
void toeplitz_batch_avx2(const Toeplitz::Tables& tables, const RssTuple4* in, std::size_t count, std::uint32_t* out);
void toeplitz_batch_avx2(const Toeplitz::Tables& tables, const RssTuple6* in, std::size_t count, std::uint32_t* out);
void toeplitz_batch_avx512(const Toeplitz::Tables& tables, const RssTuple4* in, std::size_t count, std::uint32_t* out);
void toeplitz_batch_avx512(const Toeplitz::Tables& tables, const RssTuple6* in, std::size_t count, std::uint32_t* out);
#endif

/// How many tuples one call of a kernel takes.
inline constexpr std::size_t kToeplitzLanes = 16;

/// Calls kernel(tuples, hashes) for each 16 tuples; the last, fewer, from a copy padded with zeros. A kernel may read
/// kSlack bytes beyond its last tuple.
template <std::size_t kSlack, class Tuple, class Kernel>
void toeplitz_in_sixteens(const Tuple* in, std::size_t count, std::uint32_t* out, const Kernel& kernel) {
  constexpr std::size_t kSlackTuples = (kSlack + sizeof(Tuple) - 1) / sizeof(Tuple);
  for (; count >= kToeplitzLanes + kSlackTuples; count -= kToeplitzLanes) {
    kernel(in, out);
    in += kToeplitzLanes;
    out += kToeplitzLanes;
  }
  while (count != 0) {
    const std::size_t some = count < kToeplitzLanes ? count : kToeplitzLanes;
    Tuple padded[kToeplitzLanes + kSlackTuples]{};
    std::uint32_t hashes[kToeplitzLanes];
    std::memcpy(padded, in, some * sizeof(Tuple));
    kernel(padded, hashes);
    std::memcpy(out, hashes, some * sizeof *out);
    in += some;
    out += some;
    count -= some;
  }
}

}  // namespace netrx::wire
