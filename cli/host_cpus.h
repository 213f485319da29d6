// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "netrx/error.h"

namespace netrx::cli {

/// CPUs this process may use, ascending. Kernel: sched_getaffinity.
std::vector<std::uint16_t> usable_cpus();

/// EINVAL when `wanted` has one that this process may not use; names those it may.
Result<void> check_usable(const std::string& option, const std::vector<std::uint16_t>& wanted);

/// Moves the calling thread to a CPU.
Result<void> pin_to(std::uint16_t cpu);

/// "0-1,4".
std::string cpu_list(const std::vector<std::uint16_t>& cpus);

}  // namespace netrx::cli
