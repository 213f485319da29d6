// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "driver/af_xdp/xdp_metadata.h"
#include "netrx/error.h"

namespace netrx {

/// What of an interface's traffic goes to the sockets; the rest takes its way through the kernel.
struct XdpMatch {
  std::uint8_t protocol = 0;  ///< IPPROTO_TCP or IPPROTO_UDP; 0: everything
  std::uint16_t port = 0;     ///< destination port; 0: any

  /// "all", "udp", "tcp", "udp:53". EINVAL, with how to write it.
  static Result<XdpMatch> parse(std::string_view text);
  bool operator==(const XdpMatch&) const = default;
};

/// The XDP program for it: what matches is redirected to the socket of its receive queue in the map behind `map_fd`, or
/// passed where that queue has none. IPv4 with options, IPv6 without extension headers, one VLAN tag; of a fragmented
/// datagram nothing matches a port. What the driver says by `functions` is put in front of the frame (XdpMetadata);
/// then the kernel takes the program only under kXdpFilterLicense.
std::vector<bpf_insn> xdp_filter(const XdpMatch& match, int map_fd, const XdpMetadataFunctions& functions = {});

/// These few instructions may be used under GPL-2.0 as well, as the kernel demands of a program that calls its
/// functions.
inline constexpr const char* kXdpFilterLicense = "Dual BSD/GPL";

}  // namespace netrx
