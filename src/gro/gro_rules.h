// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <bitset>
#include <cstdint>
#include <span>

#include "netrx/gro.h"
#include "softnet/gro_node.h"

namespace netrx {

/// The local ports that GRO asks for, in a form a packet can ask cheaply. Immutable once made; published.
class GroEndpoints {
 public:
  explicit GroEndpoints(std::span<const GroEndpoint> endpoints) {
    for (const GroEndpoint& endpoint : endpoints) ports_[static_cast<std::size_t>(endpoint.kind)].set(endpoint.port);
  }
  bool has(GroEndpoint::Kind kind, std::uint16_t port) const {
    return ports_[static_cast<std::size_t>(kind)].test(port);
  }

 private:
  std::array<std::bitset<65536>, 5> ports_;
};

/// Bounds of an aggregate, in bytes from its network header on. Kernel: GRO_LEGACY_MAX_SIZE, GRO_MAX_SIZE.
inline constexpr std::uint32_t kGroLegacyMaxSize = 65536;
inline constexpr std::uint32_t kGroMaxSize = 8 * 65535;

/// 0, or a power of two from the kernel's number of buckets to the most there are.
constexpr bool valid_flow_buckets(std::uint32_t n) {
  return n == 0 || (std::has_single_bit(n) && n >= GroNode::kKernelBuckets && n <= GroNode::kMaxBuckets);
}

/// What the stage goes by while one batch passes: settings of the device and the engine, and the time.
struct GroRules {
  bool on = true;  ///< Kernel: NETIF_F_GRO
  bool fraglist = false;
  bool udp_forwarding = false;
  bool in_order = false;
  std::uint8_t max_skb_frags = 17;
  std::uint32_t flow_buckets = 0;  ///< 0: the kernel's way
  std::uint32_t gro_max_size = 65536;
  std::uint32_t gro_ipv4_max_size = 65536;
  const GroEndpoints* endpoints = nullptr;  ///< null: none
  std::uint32_t jiffies = 0;

  /// Nothing is asked for that the short cut does not know.
  bool plain() const { return on && !fraglist && !in_order; }
  bool has(GroEndpoint::Kind kind, std::uint16_t port) const {
    return endpoints != nullptr && endpoints->has(kind, port);
  }
};

}  // namespace netrx
