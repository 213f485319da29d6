// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "netrx/devices.h"

namespace netrx {

/// The keys that every device has whose argument is an interface of the kernel.
struct LiveOptions {
  std::string name;  ///< the interface's unless given
  std::size_t queues = 1;
  std::uint64_t frames = 0;  ///< FrameLimit's
};

std::vector<DeviceKey> live_keys();

/// Also refuses an interface name that the kernel would not take. `queues`: unless given.
LiveOptions read_live_options(DeviceArguments& arguments, const std::string& interface, std::size_t queues);

}  // namespace netrx
