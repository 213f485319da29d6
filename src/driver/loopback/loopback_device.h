// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "netrx/devices.h"

namespace netrx {

/// "lo": one queue, rx-0, that never interrupts. Its packets come by Engine::netif_rx(), `data` at the network header
/// and `protocol` set, and go through the backlog. Kernel: drivers/net/loopback.c
std::unique_ptr<NetDevice> make_loopback_device(std::string name, FlowHashKind hash);

DeviceKind loopback_device_kind();

}  // namespace netrx
