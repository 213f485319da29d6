// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <span>

#include "base/ring_index.h"
#include "netrx/trace.h"
#include "softnet/softnet.h"

namespace netrx {

/// Where a packet is to be processed.
struct RpsDecision {
  int cpu = -1;  ///< -1: here
  RpsRule rule = RpsRule::kNotAsked;
  RpsDevFlow* flow = nullptr;  ///< whose last_qtail takes the packet's tail once it is enqueued
};

/// A packet that was decided on in this poll and is not enqueued yet counts as queued: `pending` tells whether one such
/// came through a slot. Without it a batch could move a flow away from packets that are still on their way in.
class PendingFlows {
 public:
  PendingFlows() {}  // the slots stay unset, however it is initialised: one is made for every list

  void add(const RpsDevFlow* flow) {
    if (flow != nullptr) flows_[count_++] = flow;
  }
  bool contains(const RpsDevFlow* flow) const {
    for (std::size_t i = 0; i < count_; ++i)
      if (flows_[i] == flow) return true;
    return false;
  }

 private:
  std::array<const RpsDevFlow*, PacketBatch::kCapacity> flows_;
  std::size_t count_ = 0;
};

/// What decides about packets of one receive queue, read once for a run of them. Valid for the rest of the occupation.
struct SteerTables {
  const RpsMap* map = nullptr;
  RpsDevFlowTable* flows = nullptr;
  const RpsSockFlowTable* wishes = nullptr;
  RpsRule why_not = RpsRule::kNoTables;  ///< if steers() is false

  bool steers() const { return map != nullptr || flows != nullptr; }
  /// Neither a consumer nor a flow's slot has a say: rules 5 to 7 don't apply.
  bool only_map() const { return map != nullptr && (flows == nullptr || wishes == nullptr); }
};

/// Rules 1 and 2: the tables of the queue that `packet` came by.
SteerTables steer_tables(const Softnet& net, const Packet& packet);

/// Gives every packet that has no usable hash the hash of its device's choice, many at a time; all are of one device. A
/// hardware L4 hash and a hash already computed in software stay. Kernel: skb_get_hash.
void skb_get_hash(SoftnetData& sd, std::span<Packet* const> packets) NETRX_REQUIRES(sd.cpu);

/// The map's choice for a flow. Kernel: the last part of get_rps_cpu.
inline std::uint32_t map_cpu(const RpsMap& map, std::uint32_t hash) {
  return map.cpus[reciprocal_scale(hash, static_cast<std::uint32_t>(map.cpus.size()))];
}

/// Rules 3, 8 and 9: all there is to ask when only a map decides.
inline RpsDecision decide_by_map(const Softnet& net, const RpsMap& map, std::uint32_t hash) {
  if (hash == 0) return {.rule = RpsRule::kNoHash};
  const std::uint32_t cpu = map_cpu(map, hash);
  if (!net.cpu_online(cpu)) return {.rule = RpsRule::kLocal};
  return {.cpu = static_cast<int>(cpu), .rule = RpsRule::kMap};
}

/// Rules 3 to 9, for one hashed packet. Kernel: net/core/dev.c:get_rps_cpu.
RpsDecision get_rps_cpu(Softnet& net, SoftnetData& sd, const SteerTables& tables, const Packet& packet,
                        const PendingFlows& pending) NETRX_REQUIRES(sd.cpu);

}  // namespace netrx
