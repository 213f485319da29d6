// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace netrx {

/// Asks for the cache line at `address` as one about to be written: another CPU's copy is fetched and taken away from
/// it while we do something else. (Without -mprfchw, __builtin_prefetch asks for a copy to read only, which leaves the
/// costly half to the write.)
inline void prefetch_for_write(const void* address) {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(address)));
#else
  __builtin_prefetch(address, 1);
#endif
}

}  // namespace netrx
