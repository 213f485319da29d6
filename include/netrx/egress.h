// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "netrx/deliver.h"
#include "netrx/device.h"
#include "netrx/error.h"

namespace netrx {

class Application;

/// What an egress did with what was delivered to it: packets = whole + cut + dropped. What became of the frames that it
/// gave to the device stands in the device's own TxQueueStats: tx_packets = whole + segments.
struct EgressStats {
  std::uint64_t packets = 0;        ///< delivered to it
  std::uint64_t whole = 0;          ///< went to the device as they were
  std::uint64_t cut = 0;            ///< were cut for a device that does not cut them itself
  std::uint64_t segments = 0;       ///< into so many that the device took
  std::uint64_t segments_lost = 0;  ///< and so many that found the device full
  std::uint64_t dropped = 0;        ///< FULL_RING, SKB_GSO_SEG or UNHANDLED_PROTO, also counted by the CPU
};

/// Sends what is delivered out by a device: forwarding, with nothing in between. Kernel: dev_queue_xmit with a queue
/// discipline that never holds anything, __dev_direct_xmit.
///
///   auto out = open_sink("tap:vm1", 2).value();
///   auto egress = Egress::create(*out, cpus).value();
///   engine->add_handler(kEthPAll, *egress);
///
/// Each CPU sends by one of the device's queues, its own where there are as many. A delivery is sent as one series:
/// one kick at its end. What the device can't do itself is done here: checksums that were left to it, cutting of large
/// packets, scattered bytes.
///
/// Order: a delivery's packets are the device's before receive() returns, and those it can't take are dropped with
/// FULL_RING, never kept for later. So the order in which a flow is delivered is the order in which the device gets it,
/// also when the flow moves to another CPU.
///
/// Thread rules: as any PacketHandler; CPUs that share a queue take turns. stats() by anyone. The device outlives it.
class Egress final : public PacketHandler {
 public:
  /// `cpus`: that deliver to it. EOPNOTSUPP: the device has no transmit queue.
  static Result<std::unique_ptr<Egress>> create(NetDevice& device, std::span<const std::uint16_t> cpus);
  ~Egress() override;

  void receive(Delivery& delivery) override;

  /// Ends packets that the device had not given back yet. When nothing is delivered any more.
  void settle(Application& application);

  NetDevice& device() const { return device_; }
  EgressStats stats() const;

 private:
  struct Lane;
  Egress(NetDevice& device, std::span<const std::uint16_t> cpus);

  NetDevice& device_;
  std::vector<std::unique_ptr<Lane>> lanes_;  ///< one a transmit queue in use
  std::vector<Lane*> lane_of_cpu_;            ///< by CPU number
};

}  // namespace netrx
