// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

namespace netrx {

/// Nanoseconds on the engine's clock: CLOCK_MONOTONIC live, the simulator's virtual time otherwise. Read once a poll
/// and passed down.
using Nanos = std::chrono::nanoseconds;

inline constexpr Nanos kNever = Nanos::max();

}  // namespace netrx
