// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "driver/af_xdp/xdp_program.h"
#include "driver/live/live_frames_test_support.h"
#include "driver/live/netns_test_support.h"
#include "netrx/af_xdp.h"

namespace netrx {

inline DeviceCatalog xdp_catalog() {
  DeviceCatalog catalog = DeviceCatalog::builtin();
  add_af_xdp_devices(catalog);
  return catalog;
}

/// What this machine lacks to bind AF_XDP sockets; empty: nothing.
inline std::string missing_for_xdp() {
  std::string missing = missing_for_netns();
  if (!missing.empty()) return missing;
  const OwnedFd socket(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return "the kernel has no AF_XDP (CONFIG_XDP_SOCKETS)";
  // Not at the lo of all: two tests that look at once would be in each other's way, and one left out.
  return missing_in_new_netns([] {
    const auto attached = XdpProgram::attach({.interface = "lo", .match = {}, .mode = XdpMode::generic});
    return attached ? std::string() : "XDP programs can't be attached here: " + attached.error().text;
  });
}

}  // namespace netrx
