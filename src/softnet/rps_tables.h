// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/ring_index.h"
#include "netrx/packet.h"

namespace netrx {

/// The CPUs a queue spreads over. Immutable once published. Kernel: struct rps_map.
struct RpsMap {
  std::vector<std::uint16_t> cpus;  ///< ascending; online CPUs at the time of writing; never empty
};

/// Where one slot of flows of a queue goes. Kernel: struct rps_dev_flow.
///
/// Ownership: hint. Written by the CPU that polls the queue, and by several at once on a device that uses netif_rx;
/// a torn pair costs order at a switch, never memory safety, as in the kernel.
struct RpsDevFlow {
  std::atomic<std::uint16_t> cpu{kNoCpu};
  std::atomic<std::uint32_t> last_qtail{0};  ///< tail of the newest packet sent to `cpu` through this slot
};

/// Kernel: struct rps_dev_flow_table.
struct RpsDevFlowTable {
  explicit RpsDevFlowTable(std::uint32_t size) : mask(size - 1), flows(new RpsDevFlow[size]) {}
  std::uint32_t size() const { return mask + 1; }
  RpsDevFlow& slot(std::uint32_t hash) { return flows[hash & mask]; }

  const std::uint32_t mask;  ///< size is a power of two
  const std::unique_ptr<RpsDevFlow[]> flows;
};

/// Which CPU consumes which flow: high bits of the flow's hash with the CPU in the low bits. Kernel: struct
/// rps_sock_flow_table.
///
/// Ownership: hint. Any thread writes, any CPU reads; an entry overwritten by another flow is recognised by its hash
/// bits and means "no wish".
class RpsSockFlowTable {
 public:
  static constexpr std::uint32_t kEmpty = kNoCpu;

  RpsSockFlowTable(std::uint32_t size, std::uint32_t nr_cpu_ids)
      : mask_(size - 1), cpu_mask_(round_up_pow2(nr_cpu_ids) - 1), entries_(new std::atomic<std::uint32_t>[size]) {
    clear();
  }

  std::uint32_t size() const { return mask_ + 1; }
  std::uint32_t cpu_mask() const { return cpu_mask_; }

  /// The flow's entry as it stands; whether it speaks of this flow is for get_rps_cpu to judge.
  std::uint32_t read(std::uint32_t hash) const { return entries_[hash & mask_].load(std::memory_order_relaxed); }
  const void* address(std::uint32_t hash) const { return &entries_[hash & mask_]; }

  /// The flow's consumer runs on `cpu`. Reads first, so that a line that says so already stays shared. Kernel:
  /// rps_record_sock_flow.
  void record(std::uint32_t hash, std::uint32_t cpu) {
    if (hash == 0) return;
    std::atomic<std::uint32_t>& entry = entries_[hash & mask_];
    const std::uint32_t value = (hash & ~cpu_mask_) | cpu;
    if (entry.load(std::memory_order_relaxed) != value) entry.store(value, std::memory_order_relaxed);
  }

  void clear() {
    for (std::uint32_t i = 0; i <= mask_; ++i) entries_[i].store(kEmpty, std::memory_order_relaxed);
  }

 private:
  const std::uint32_t mask_;
  const std::uint32_t cpu_mask_;
  const std::unique_ptr<std::atomic<std::uint32_t>[]> entries_;
};

/// Recent packets by flow, of one enqueuing CPU. Kernel: struct sd_flow_limit.
struct FlowLimit {
  static constexpr std::uint32_t kHistory = 128;

  explicit FlowLimit(std::uint32_t table_len) : table_mask(table_len - 1), buckets(table_len, 0) {}

  const std::uint32_t table_mask;
  std::vector<std::uint8_t> buckets;
  std::uint16_t history[kHistory] = {};
  std::uint32_t history_head = 0;
  std::atomic<std::uint64_t> count{0};  ///< packets dropped; one writer
};

}  // namespace netrx
