// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netrx/device.h"
#include "netrx/packet.h"

/// Making a delivered packet one that a device can send.
namespace netrx {

/// Where a delivered packet stands against a device.
enum class Egressing : std::uint8_t {
  whole,   ///< it can go as it is
  cut,     ///< it must be cut into segments first
  copied,  ///< its bytes must be in one piece first
};

/// Moves `data` to where the device's frames begin and puts an out-of-band VLAN tag back into the packet's fields.
/// False: it has no link header for the device, or is no IP packet for one without.
[[nodiscard]] bool restore_frame(Packet& packet, bool with_link_header);

/// Does what remains to be judged, and completes a checksum that the device would leave open.
Egressing make_sendable(Packet& packet, const TxFeatures& features);

/// Fills in the checksum of a CHECKSUM_PARTIAL packet. Kernel: skb_checksum_help.
void complete_checksum(Packet& packet);

}  // namespace netrx
