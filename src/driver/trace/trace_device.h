// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netrx/devices.h"

namespace netrx {

/// Middleware that writes a line for every frame, or poll:
///
///   0.000012345 gen0/rx-0 frame 17 64 bytes ipv4 10.0.0.9:5060 > 192.0.2.77:53 udp
///   0.000012345 gen0/rx-0 poll budget 64 got 12
///
/// Time is the engine's, in seconds. Addresses are those RPS hashes: a tunnel's inner ones.
DeviceKind trace_device_kind();

}  // namespace netrx
