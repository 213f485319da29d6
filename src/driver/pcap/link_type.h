// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "netrx/byte_order.h"
#include "netrx/packet.h"

namespace netrx {

/// What stands before the network header of a captured frame.
struct LinkHeader {
  std::uint32_t size = 0;  ///< bytes to skip
  Be16 protocol{};         ///< EtherType; 0 for what has none (PPP's own control traffic)
  PacketKind kind = PacketKind::host;
};

/// libpcap's number of Ethernet, the one link type whose header stays on: the path takes it off.
inline constexpr int kLinkEthernet = 1;

bool link_type_handled(int dlt);

/// Reads the link header of a frame; nothing when the frame ends within it. `dlt` is a handled type other than
/// Ethernet.
std::optional<LinkHeader> read_link_header(int dlt, std::span<const std::uint8_t> frame);

/// "EN10MB (1)": libpcap's name and number.
std::string link_type_name(int dlt);
/// All handled types, by name and number.
std::string handled_link_types();

}  // namespace netrx
