// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "netrx/devices.h"

namespace netrx {

/// `pcap` as a device that is sent to: frames into a capture file, as they would be on the wire, with the time at which
/// they were sent. One transmit queue; it never is full, and a full disk is told by remark().
Result<std::unique_ptr<NetDevice>> open_pcap_sink(DeviceArguments& arguments);

}  // namespace netrx
