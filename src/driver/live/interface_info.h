// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What the kernel says of its interfaces and of how it receives from them, for people who choose a device or settings.
namespace netrx {

/// As under /sys/class/net/NAME/queues/rx-N.
struct KernelRxQueue {
  std::string rps_cpus;  ///< a mask as the kernel writes it; empty: not readable
  std::uint64_t rps_flow_cnt = 0;
};

struct InterfaceInfo {
  std::string name;
  unsigned index = 0;
  bool up = false;
  bool ethernet = false;
  std::uint32_t mtu = 0;
  std::string address;   ///< "02:00:00:00:00:01"; empty: it has none
  std::string driver;    ///< empty: it does not say
  bool in_sysfs = true;  ///< false: /sys is another namespace's, and what follows from it is missing
  std::vector<KernelRxQueue> rx_queues;
  std::size_t tx_queues = 0;
  std::vector<std::string> offloads;          ///< that are on, as `ethtool -k` names them
  std::optional<std::uint64_t> xdp_features;  ///< Kernel: NETDEV_XDP_ACT_*, since 6.3
  std::uint64_t gro_flush_timeout = 0;        ///< nanoseconds
  std::uint64_t napi_defer_hard_irqs = 0;
  bool threaded = false;

  bool xdp_native() const { return xdp_features.value_or(0) & 1; }
  bool xdp_zero_copy() const { return xdp_features.value_or(0) & 8; }
};

/// Every interface of the caller's network namespace, by index.
std::vector<InterfaceInfo> list_interfaces();

/// net.core.rps_sock_flow_entries; 0: RFS follows nothing.
std::uint64_t kernel_rps_sock_flow_entries();

/// In words: what RPS, RFS and the NAPI settings mean for the interface's packets, a line each.
std::vector<std::string> explain_steering(const InterfaceInfo& info, std::uint64_t rps_sock_flow_entries);

}  // namespace netrx
