// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "netrx/drop_reason.h"
#include "netrx/packet.h"

namespace netrx {

/// Which rule of get_rps_cpu decided. The numbers are the rows of docs/path/4-steer.md.
enum class RpsRule : std::uint8_t {
  kNotAsked,            ///< RPS and RFS are off (rps_needed is 0)
  kQueueOutOfRange,     ///< 1: the recorded queue is not one of the device's
  kNoTables,            ///< 2: the queue has neither map nor flow table
  kNoHash,              ///< 3: the hash is 0
  kFollowsFlow,         ///< 7: RFS: where the flow is, and should be
  kSwitchedToConsumer,  ///< 6: RFS: moved to the CPU that consumes the flow
  kHeldForOrder,        ///< 6: RFS: the consumer moved, but packets are still queued on the old CPU
  kMap,                 ///< 8: RPS: the hash's place in the map
  kLocal,               ///< 9: none applied; processed where it was polled
  kCount
};
constexpr const char* name(RpsRule rule) {
  constexpr const char* kNames[] = {"not_asked", "queue_out_of_range", "no_tables", "no_hash", "follows_flow",
                                    "switched",  "held_for_order",     "map",       "local"};
  return rule < RpsRule::kCount ? kNames[static_cast<int>(rule)] : "?";
}

/// What became of a packet in the GRO stage. Kernel: enum gro_result, same numbers.
enum class GroResult : std::uint8_t { merged, merged_free, held, normal, consumed };

/// Tracepoints under the kernel's names; override those you want and hand the object to the engine before start.
///
/// Thread rules: called on the CPU named by `cpu`, inside its occupation, so state kept per cpu needs no lock. The
/// packet may be read until the call returns. What a call costs delays the packet.
class Tracer {
 public:
  virtual ~Tracer() = default;
  virtual void netif_rx_entry(std::uint16_t /*cpu*/, const Packet&) {}
  virtual void netif_receive_skb_entry(std::uint16_t /*cpu*/, const Packet&) {}
  virtual void napi_gro_receive_entry(std::uint16_t /*cpu*/, const Packet&) {}
  virtual void napi_gro_receive_exit(std::uint16_t /*cpu*/, GroResult) {}
  virtual void netif_rx(std::uint16_t /*cpu*/, const Packet&) {}
  /// Core receive of one packet begins: the CPU it ends on.
  virtual void netif_receive_skb(std::uint16_t /*cpu*/, const Packet&) {}
  virtual void napi_poll(std::uint16_t /*cpu*/, std::uint32_t /*napi_id, 0: a backlog*/, int /*work*/, int /*budget*/) {
  }
  virtual void kfree_skb(std::uint16_t /*cpu*/, const Packet&, DropReason) {}
  virtual void consume_skb(std::uint16_t /*cpu*/, const Packet&) {}
  virtual void softirq_raise(std::uint16_t /*cpu*/) {}
  virtual void softirq_entry(std::uint16_t /*cpu*/) {}
  virtual void softirq_exit(std::uint16_t /*cpu*/) {}
  /// Not in the kernel: the decision itself. `target` is -1 for "here".
  virtual void get_rps_cpu(std::uint16_t /*cpu*/, const Packet&, int /*target*/, RpsRule) {}
  /// Not in the kernel as one event: an IPI is sent.
  virtual void doorbell(std::uint16_t /*cpu*/, std::uint16_t /*target*/) {}
};

}  // namespace netrx
