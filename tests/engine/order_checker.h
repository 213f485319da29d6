// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "netrx/deliver.h"

namespace netrx {

/// Counts what is delivered, and packets that are handed up after a later one of their flow. A flow may be delivered on
/// several CPUs, one after the other, so each flow's last number is an atomic maximum.
class OrderChecker : public PacketHandler {
 public:
  static constexpr std::size_t kFlows = 1u << 16;

  void receive(Delivery& delivery) override {
    for (const Packet* packet : delivery.packets()) {
      std::atomic<std::uint64_t>& last = last_[packet->hash % kFlows];
      const std::uint64_t seq = packet->rx_seq + 1;
      if (last.exchange(seq) >= seq) out_of_order_.fetch_add(1);
    }
    per_cpu_[delivery.cpu()].fetch_add(delivery.size());
    delivered_.fetch_add(delivery.size());
  }

  std::uint64_t delivered() const { return delivered_.load(); }
  std::uint64_t out_of_order() const { return out_of_order_.load(); }
  std::uint64_t on_cpu(std::uint16_t cpu) const { return per_cpu_[cpu].load(); }

 private:
  std::unique_ptr<std::atomic<std::uint64_t>[]> last_{new std::atomic<std::uint64_t>[kFlows]()};
  std::atomic<std::uint64_t> delivered_{0};
  std::atomic<std::uint64_t> out_of_order_{0};
  std::atomic<std::uint64_t> per_cpu_[64] = {};
};

}  // namespace netrx
