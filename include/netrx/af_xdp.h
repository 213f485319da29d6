// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "netrx/devices.h"
#include "netrx/packet.h"
#include "netrx/time.h"

namespace netrx {

/// Teaches `catalog` the device `af_xdp`: frames straight from a driver's receive queue, in shared memory, before the
/// kernel's stack sees them; sending by the same queue. Link with netrx::af_xdp.
void add_af_xdp_devices(DeviceCatalog& catalog);

/// When the driver says a packet of an `af_xdp` device arrived, by the device's own clock, which need not be the
/// engine's; empty: it says nothing, or the frame's headroom has been written to since. Kernel: skb_hwtstamps,
/// bpf_xdp_metadata_rx_timestamp.
std::optional<Nanos> xdp_rx_timestamp(const Packet& packet);

}  // namespace netrx
