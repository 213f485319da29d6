// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "netrx/error.h"
#include "run_options.h"

namespace netrx::cli {

/// What `netrx run ARGUMENTS` asks for: options from the command line and --config's file; the command line wins.
Result<RunOptions> parse_run_arguments(std::span<const std::string> arguments);

/// The text of `netrx run --help`.
std::string run_help();

}  // namespace netrx::cli
