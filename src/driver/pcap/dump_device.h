// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "netrx/devices.h"

namespace netrx {

/// Middleware that writes every frame its device gives out to a pcap file with nanosecond time stamps (the engine's
/// time). Frames without a link header are written as LINUX_SLL, tags a device took out are put back. A write that
/// fails ends the writing, never the traffic, and is told by remark().
Result<std::unique_ptr<NetDevice>> make_dump_device(std::unique_ptr<NetDevice> inner, const std::string& file,
                                                    std::uint32_t snaplen);

DeviceKind dump_device_kind();

}  // namespace netrx
