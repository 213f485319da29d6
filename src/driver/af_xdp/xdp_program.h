// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "driver/af_xdp/xdp_filter.h"
#include "driver/live/owned_fd.h"
#include "netrx/error.h"

namespace netrx {

/// Where in the kernel an XDP program runs.
enum class XdpMode : std::uint8_t {
  automatic,  ///< native where the driver can
  native,     ///< in the driver, before there is an sk_buff. Kernel: XDP_FLAGS_DRV_MODE
  generic,    ///< behind it, any driver. Kernel: XDP_FLAGS_SKB_MODE
};

/// An XDP program on an interface with the map of the sockets it redirects to. It goes with this object, and with the
/// process however that ends: the kernel detaches it when the link's file is closed.
struct XdpProgram {
  OwnedFd map;  ///< by receive queue
  OwnedFd link;
  bool native = false;

  /// `replace`: takes the place of a program that is there already, unless that one is held by a link of its own.
  static Result<XdpProgram> attach(const std::string& interface, const XdpMatch& match, XdpMode mode, bool replace);

  /// Another filter in the same place, without a gap.
  Result<void> change(const XdpMatch& match);
};

}  // namespace netrx
