// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "netrx/error.h"
#include "netrx/packet.h"

/// What a driver knows of a frame beside its bytes, and an XDP program may ask it for. Kernel: struct xdp_metadata_ops,
/// Documentation/networking/xdp-rx-metadata.rst.
namespace netrx {

/// As our program leaves it in front of a frame.
struct XdpMetadata {
  std::uint64_t timestamp;  ///< nanoseconds of the device's own clock
  std::uint32_t hash;
  std::uint32_t rss_type;  ///< Kernel: enum xdp_rss_hash_type
  std::uint16_t vlan_tci;
  std::uint16_t vlan_proto;  ///< in network byte order
  std::uint32_t what;        ///< kMark and which of the others the driver gave

  static constexpr std::uint32_t kMark = 0x6e525800;
  static constexpr std::uint32_t kTimestamp = 1, kHash = 2, kVlan = 4;
  static constexpr std::uint32_t kRssL4 = 8;  ///< Kernel: XDP_RSS_L4
};
static_assert(sizeof(XdpMetadata) == 24);

/// The functions by which the running kernel's programs ask, by their BTF ids; 0: it has none of this name.
struct XdpMetadataFunctions {
  std::int32_t timestamp = 0, hash = 0, vlan = 0;

  /// EOPNOTSUPP, with the reason.
  static Result<XdpMetadataFunctions> find();
  bool any() const { return timestamp != 0 || hash != 0 || vlan != 0; }
};

/// Fills in the packet's fields from what stands in front of its frame, if the program left something there.
void read_xdp_metadata(Packet& packet);

}  // namespace netrx
