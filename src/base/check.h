// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>

namespace netrx {

/// Ends the process: an invariant of netrx itself is broken, and going on would corrupt packets.
[[noreturn]] inline void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "netrx: invariant broken: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace netrx

/// An invariant of ours, never a judgement of input. On in every preset but `release`.
#if defined(NETRX_VERIFY)
#define NETRX_CHECK(expression) \
  (static_cast<bool>(expression) ? void(0) : ::netrx::check_failed(#expression, __FILE__, __LINE__))
#else
#define NETRX_CHECK(expression) void(sizeof(static_cast<bool>(expression)))
#endif
