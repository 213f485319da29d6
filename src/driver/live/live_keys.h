// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>

#include "netrx/devices.h"

namespace netrx {

/// The keys that every device has whose argument is an interface of the kernel.
struct LiveOptions {
  std::string name;  ///< the interface's unless given
  std::size_t queues = 1;
  std::uint64_t frames = 0;  ///< FrameLimit's
  bool reconnect = true;     ///< an interface that went is waited for; else the device is at its end
};

/// Opens one kind of device on an interface. `queues`: unless its keys say otherwise; `receives`: false for one that
/// only sends.
using OpenLive = std::function<Result<std::unique_ptr<NetDevice>>(DeviceArguments&, std::size_t queues, bool receives)>;

/// A kind of device on an interface, to receive and to send, with these keys and `more`.
DeviceKind live_device_kind(std::string name, std::string summary, const std::initializer_list<DeviceKey>& more,
                            const OpenLive& open);

/// Also refuses an interface name that the kernel would not take. `queues`: unless given.
LiveOptions read_live_options(DeviceArguments& arguments, const std::string& interface, std::size_t queues);

}  // namespace netrx
