// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "plan.h"

namespace netrx::simtest {

/// How a run ended, and what a person wants to know of it.
struct Report {
  bool ok = false;
  std::string why;     ///< "checker: what happened"
  std::string events;  ///< the last ones
  std::uint64_t digest = 0;
  std::uint64_t steps = 0;
  Nanos time{0};
  std::uint64_t received = 0;
  std::uint64_t delivered = 0;
  std::uint64_t merged = 0;
  std::uint64_t dropped = 0;
};

/// Builds the plan's engine, devices and applications, runs them to the end under the judge's eyes, and takes all down.
/// A failed run is left as it is, in memory: nothing in it can be relied on.
Report run_plan(const Plan& plan, bool verbose);

}  // namespace netrx::simtest
