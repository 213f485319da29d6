// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <span>
#include <string>
#include <vector>

#include "gro_scenario.h"

namespace netrx::conformance {

struct KernelVersion {
  int major = 0, minor = 0;
  auto operator<=>(const KernelVersion&) const = default;
};
/// Of the running kernel.
KernelVersion running_kernel();

/// A scenario in which netrx, which follows Linux 6.12, and the running kernel are known to part. Outlines say how: see
/// outline().
struct GroDifference {
  const char* scenario;  ///< its name; * stands for any text
  const char* kernel;
  const char* netrx;
  const char* reason;
};

/// The differences that the running kernel must show: no more, and no fewer.
std::vector<GroDifference> expected_differences();
/// The row about this scenario, if there is one.
const GroDifference* difference_for(std::span<const GroDifference> rows, const std::string& scenario);

/// What came up in short, a word a packet: how many segments it has; then o, if their (outer) ids are fixed, i, if the
/// inner ones are; e, if the congestion window was reduced.
std::string outline(const std::vector<Handed>& up);

/// The difference that netrx wants: when nobody asked for UDP to be merged, it does not verify UDP's checksum, and the
/// packet goes up with CHECKSUM_NONE where the kernel has made it CHECKSUM_UNNECESSARY. Takes that out of what the
/// kernel handed up, and nothing else; returns in how many packets.
std::size_t forgive_unverified_udp(const GroScenario& scenario, std::vector<Handed>& kernel,
                                   const std::vector<Handed>& ours);

}  // namespace netrx::conformance
