// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "gro/gro_rules.h"
#include "netrx/gro.h"
#include "softnet/gro_node.h"

namespace netrx {

/// A header between the link header and the innermost transport header that is compared as a whole or in parts.
struct GroLayer {
  enum class Kind : std::uint8_t { vlan, ethernet, ipv4, ipv6, ipv6_options, gre, udp, vxlan, geneve };
  Kind kind;
  std::uint16_t at;    ///< counted from the packet's data
  std::uint16_t size;  ///< bytes
};

/// What GRO has to know of one packet's headers, read once: the numbers that decide whether it continues a flow.
/// Whoever makes one writes all of it; clearing it first would cost a quarter of what a segment costs.
struct GroSegment {
  GroKey key;
  std::uint32_t tag;      ///< a hash over the flow's part of key
  GroRefusal flush;       ///< set: neither merged nor held, whatever is found
  std::uint8_t protocol;  ///< the innermost IP protocol that was read
  bool tcp;               ///< else UDP
  bool fraglist;          ///< its data would be chained, not merged
  GroTunnel tunnel;
  std::array<GroNetwork, 2> network;  ///< outermost; innermost
  std::uint32_t l4_at;                ///< counted from the packet's data, as is payload_at
  std::uint32_t payload_at;
  std::uint32_t payload;  ///< bytes
  // TCP, else 0
  std::uint32_t seq;
  std::uint32_t ack;        ///< as it stands in the frame
  std::uint32_t flag_word;  ///< offset, flags and window, as they stand in the frame

  bool encapsulated() const { return tunnel != GroTunnel::none; }
};

/// The same with what stands between, from the outermost header to the innermost. The packet's headers are linear.
struct GroHeaders : GroSegment {
  static constexpr std::size_t kMaxLayers = 24;  ///< more than the reader's depth allows

  GroHeaders() : GroSegment{} {}  // the layers need no clearing

  std::uint8_t layer_count = 0;
  std::array<GroLayer, kMaxLayers> layers;  ///< all but what `key` covers: plain TCP and UDP have none
};

/// Reads the packet's headers, verifies checksums that nobody has, and notes in the packet that it did. kNone: all was
/// read, and `headers` is whole. Otherwise GRO has nothing to do with this packet; of `headers` only network addresses
/// may be of use (see outer_addresses). Kernel: the gro_receive callbacks up to their search for a held packet.
GroRefusal read_gro_headers(Packet& packet, const GroRules& rules, GroHeaders& headers);

}  // namespace netrx
