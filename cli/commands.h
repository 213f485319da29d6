// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

/// One function a subcommand: takes what stands behind its name, returns the exit code.
namespace netrx::cli {

int run(std::span<const std::string> arguments);
int devices(std::span<const std::string> arguments);
int vhost_device(std::span<const std::string> arguments);

/// `netrx: TEXT` on stderr; returns 2, the exit code of bad usage, configuration and input.
int refuse(const std::string& text);

}  // namespace netrx::cli
