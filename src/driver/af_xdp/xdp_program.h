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

/// What is attached, where and how.
struct XdpAttachment {
  enum class Metadata : std::uint8_t { automatic, on, off };

  std::string interface;
  XdpMatch match;
  XdpMode mode = XdpMode::automatic;
  Metadata metadata = Metadata::automatic;  ///< what the driver knows of frames, in front of them
  bool replace = false;  ///< takes the place of a program that is there already, unless a BPF link holds that
};

/// An XDP program on an interface with the map of the sockets it redirects to. It goes with this object, and with the
/// process however that ends: the kernel detaches it when the link's file is closed.
struct XdpProgram {
  OwnedFd map;  ///< by receive queue
  OwnedFd link;
  bool native = false;
  unsigned bound_to = 0;           ///< the interface whose driver's metadata it asks for; 0: none's
  XdpMetadataFunctions functions;  ///< by which it asks
  std::string no_metadata;         ///< why there is none though it was wanted

  static Result<XdpProgram> attach(const XdpAttachment& wanted);

  /// Another filter in the same place, without a gap.
  Result<void> change(const XdpMatch& match);

 private:
  Result<OwnedFd> load(const XdpMatch& match) const;
  Result<OwnedFd> load_first(const XdpAttachment& wanted, unsigned index);
};

}  // namespace netrx
