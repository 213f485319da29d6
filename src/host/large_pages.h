// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace netrx {

/// Asks for large pages where whole ones lie in this memory; before it is touched, since pages that are there already
/// stay small for long. Whether it is followed is the system's business (transparent_hugepage).
void ask_for_large_pages(void* memory, std::size_t bytes);

}  // namespace netrx
