// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

namespace netrx {

/// NETDEV_XDP_ACT_* of an interface, from the generic netlink family "netdev"; nothing before Linux 6.3.
std::optional<std::uint64_t> xdp_features(unsigned interface_index);

}  // namespace netrx
