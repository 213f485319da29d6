// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netrx/devices.h"

namespace netrx {

/// `af_packet`: what an interface of this kernel receives, a copy of it, beside the kernel's own protocols; sending by
/// the interface. Kernel: net/packet/af_packet.c with TPACKET_V3 and PACKET_FANOUT.
DeviceKind packet_device_kind();

}  // namespace netrx
