// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "netrx/flow.h"
#include "netrx/packet.h"
#include "netrx/trace.h"

namespace netrx::cli {

/// What an order check found.
struct OrderCount {
  std::uint64_t checked = 0;
  std::uint64_t unchecked = 0;    ///< of flows that found no place in the table
  std::uint64_t late = 0;         ///< packets behind a later one of their flow, where the path promises order
  std::uint64_t late_moving = 0;  ///< the same, around a move that RFS does not protect
  std::uint64_t late_held = 0;    ///< the same, because GRO held a packet and let a later one by
  std::uint64_t repeated = 0;     ///< packets that came twice
  std::string first;              ///< the first of `late` or `repeated`, in words
};

/// Checks that the packets of a flow come in order: at their delivery, and again where an application takes them. A
/// flow is a hash on a queue of a device and one of the two directions that share it.
///
/// RFS moves a flow only when the old CPU has finished its packets. But a flow that changes between RFS and RPS moves
/// at once, in the kernel as here: when its application is recorded for the first time, and when another flow takes its
/// place in rps_sock_flow_table. As a tracer this table sees these moves, and counts late packets around them apart.
/// GRO lets some packets by while it holds others of their flow (docs/path/3-gro.md): these are counted apart too.
///
/// Memory is fixed at construction. Thread rules: every function on any CPU, on several at once, as long as one packet
/// is in one place at a time. A flow's packets on two CPUs meet in one slot, whose fields are atomic.
class FlowTable : public Tracer {
 public:
  static constexpr std::uint32_t kNoSlot = (1u << 20) - 1;

  /// Room for `flows`, at most a million; 0: checks nothing.
  explicit FlowTable(std::size_t flows);

  bool enabled() const { return slots_ != nullptr; }
  /// net.netrx.rps_map_in_order: changes between RFS and the map are protected too. Before anything runs.
  void set_map_in_order(bool on) { map_in_order_ = on; }
  /// net.netrx.gro_in_order: GRO lets nothing by. Before anything runs.
  void set_gro_in_order(bool on) { gro_in_order_ = on; }

  /// The packet is being delivered. Returns its flow's slot, for consumed(); kNoSlot: not checked.
  std::uint32_t delivered(const Packet& packet);
  /// An application took the packet; `slot` as delivered() said.
  void consumed(std::uint32_t slot, const Packet& packet);

  void get_rps_cpu(std::uint16_t cpu, const Packet& packet, int target, RpsRule rule) override;

  std::uint64_t flows() const { return flows_.load(std::memory_order_relaxed); }
  std::uint64_t unprotected_moves() const { return moves_.load(std::memory_order_relaxed); }
  /// `packets`: how many passed the place. Exact when nothing runs.
  OrderCount at_delivery(std::uint64_t packets) const { return read(delivery_, packets); }
  OrderCount at_consumers(std::uint64_t packets) const { return read(consumption_, packets); }

 private:
  /// Sequence numbers are kept plus one, so that 0 means none.
  struct alignas(64) Slot {
    std::atomic<std::uint64_t> key{0};
    std::atomic<std::uint64_t> delivered{0};
    std::atomic<std::uint64_t> consumed{0};
    std::atomic<std::uint64_t> first_move{0};  ///< the packet with which the flow first moved unprotected
    std::atomic<std::uint64_t> last_move{0};
    std::atomic<std::uint32_t> decision{0};  ///< of the last packet: target, and whether it counts as a tail
  };
  struct Place {
    std::atomic<std::uint64_t> unchecked{0};
    std::atomic<std::uint64_t> late{0};
    std::atomic<std::uint64_t> late_moving{0};
    std::atomic<std::uint64_t> late_held{0};
    std::atomic<std::uint64_t> repeated{0};
    std::atomic<bool> has_first{false};
    std::uint64_t first_seq = 0;  ///< written once, by who set has_first; read when nothing runs
    std::uint64_t first_behind = 0;
    std::uint32_t first_hash = 0;
  };

  std::uint64_t key_of(const Packet& packet);
  std::uint32_t device_number(const Netif* device);
  std::uint32_t find(std::uint64_t key);
  void check_all(std::atomic<std::uint64_t>& newest, const Slot& slot, const Packet& packet, Place& place);
  void check(std::atomic<std::uint64_t>& newest, const Slot& slot, const Packet& packet, bool held, Place& place);
  OrderCount read(const Place& place, std::uint64_t packets) const;

  const FlowHasher hasher_;
  std::unique_ptr<Slot[]> slots_;
  std::uint32_t mask_ = 0;
  bool map_in_order_ = false;
  bool gro_in_order_ = false;
  std::array<std::atomic<const Netif*>, 255> devices_{};
  std::atomic<std::uint64_t> flows_{0};
  std::atomic<std::uint64_t> moves_{0};
  Place delivery_;
  Place consumption_;
};

}  // namespace netrx::cli
