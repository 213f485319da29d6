// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cpu/clock.h"
#include "netrx/error.h"

namespace netrx {

/// CLOCK_MONOTONIC.
class MonotonicClock : public Clock {
 public:
  Nanos now() override;
};

/// CPU numbers this process may run on, ascending. Kernel: sched_getaffinity.
std::vector<std::uint16_t> host_cpus();

/// Pins the calling thread. EINVAL: no such CPU, or not one this process may use; names those it may.
Result<void> pin_this_thread(std::uint16_t cpu);

/// The CPU the caller runs on at this moment. Kernel: raw_smp_processor_id, sched_getcpu.
std::uint16_t current_cpu();

/// At most 15 characters; what top shows.
void name_this_thread(const std::string& name);

/// A key nobody can guess.
std::uint64_t random_u64();

}  // namespace netrx
