// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "outcome.h"

namespace netrx::cli {

/// The table `netrx run` ends with. `bars`: draw shares, for a terminal. `reasons`: say in words why packets did not
/// merge.
std::string report(const Outcome& outcome, bool bars, bool reasons);

}  // namespace netrx::cli
