// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpu/counter.h"
#include "cpu/published.h"
#include "netrx/device.h"
#include "netrx/flow.h"
#include "softnet/napi_struct.h"
#include "softnet/rps_tables.h"

namespace netrx {

/// What steering keeps of one receive queue. Kernel: struct netdev_rx_queue.
struct NetifRxQueue {
  Published<RpsMap> rps_map;
  Published<RpsDevFlowTable> rps_flow_table;
  std::unique_ptr<NapiStruct> napi;
};

/// A device as the path sees it: the driver's half plus steering tables, settings and counters. Kernel: struct
/// net_device.
///
/// Ownership: built by the control plane before its first packet; then tables are published, settings are hints and
/// counters shared.
struct Netif {
  Netif(NetDevice& driver, std::uint32_t index, FlowHasher flow_hasher)
      : device(driver),
        name(driver.name()),
        ifindex(index),
        hasher(std::move(flow_hasher)),
        rx_gro(driver.takes_gro()) {}

  NetDevice& device;
  const std::string name;
  const std::uint32_t ifindex;
  const FlowHasher hasher;
  std::vector<std::unique_ptr<NetifRxQueue>> rx_queues;  ///< fixed after attach

  std::atomic<bool> running{false};                ///< Kernel: netif_running
  std::atomic<std::int64_t> gro_flush_timeout{0};  ///< nanoseconds
  std::atomic<std::uint32_t> napi_defer_hard_irqs{0};
  std::atomic<bool> threaded{false};
  // Kernel: dev->features, as ethtool -k names them.
  std::atomic<bool> rx_gro{true};
  std::atomic<bool> rx_gro_list{false};
  std::atomic<bool> rx_udp_gro_forwarding{false};
  std::atomic<std::uint32_t> gro_max_size{65536};  ///< bytes
  std::atomic<std::uint32_t> gro_ipv4_max_size{65536};

  SharedCounter rx_dropped;  ///< by the core: backlog full, device down, protocol unknown
  SharedCounter rx_nohandler;
  std::atomic<bool> warned_queue_range{false};
  std::uint64_t injected = 0;  ///< frames sent into it without a NAPI; under the control plane's lock
};

}  // namespace netrx
