// SPDX-License-Identifier: Apache-2.0
#include "host/large_pages.h"

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace netrx {

void ask_for_large_pages(void* memory, std::size_t bytes) {
  constexpr std::uintptr_t kPage = std::uintptr_t{2} << 20;
  const std::uintptr_t skip = -reinterpret_cast<std::uintptr_t>(memory) & (kPage - 1);
  if (bytes < skip + kPage) return;
  (void)madvise(static_cast<std::byte*>(memory) + skip, (bytes - skip) & ~(kPage - 1), MADV_HUGEPAGE);
}

}  // namespace netrx
