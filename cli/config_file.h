// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "netrx/error.h"
#include "run_options.h"

namespace netrx::cli {

/// Reads a TOML file whose keys are the names of `netrx run`'s options. An option that may be repeated takes a list,
/// `set` also a table of paths. The error's text begins with file and line; a key that is none names the nearest one.
Result<std::vector<GivenOption>> read_config_file(const std::string& path);

}  // namespace netrx::cli
