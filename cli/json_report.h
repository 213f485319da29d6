// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "netrx/engine.h"
#include "outcome.h"

namespace netrx::cli {

/// The outcome as JSON, in the form that docs/run.md describes. Keys are added, never renamed or removed; a change of
/// meaning changes `schema`.
std::string json_report(const Outcome& outcome, const Engine& engine);

}  // namespace netrx::cli
