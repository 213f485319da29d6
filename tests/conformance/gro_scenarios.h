// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "gro_scenario.h"

namespace netrx::conformance {

/// Crafted polls: one for each thing that a header, a flow or a limit can do to merging.
std::vector<GroScenario> tcp_scenarios();
std::vector<GroScenario> ip_scenarios();
std::vector<GroScenario> limit_scenarios();
std::vector<GroScenario> tag_scenarios();
std::vector<GroScenario> tunnel_scenarios();
std::vector<GroScenario> udp_scenarios();
std::vector<GroScenario> fraglist_scenarios();

/// A poll of streams with something strange now and then, the same for the same seed.
GroScenario random_scenario(std::uint64_t seed);

}  // namespace netrx::conformance
