// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netrx/devices.h"

namespace netrx {

/// `tap` and `tun`: the far end of an interface of this kernel. What the kernel sends out by it is received; what is
/// sent is received by the kernel. With vnet_hdr=on checksums that are still to be made and packets still to be cut
/// cross as they are, both ways. Kernel: drivers/net/tun.c, from the side of its character device.
DeviceKind tap_device_kind();
DeviceKind tun_device_kind();

}  // namespace netrx
