// SPDX-License-Identifier: Apache-2.0
#include "steer/get_rps_cpu.h"

#include <memory>

#include "base/ring_index.h"

namespace netrx {

namespace {

/// Rule 6: may the flow leave `cur`? Only if that CPU can't have packets of it any more.
bool may_switch(Softnet& net, const RpsDevFlow& flow, std::uint32_t cur, const PendingFlows& pending) {
  if (!net.possible(cur) || !net.cpu_online(cur)) return true;
  if (pending.contains(&flow)) return false;
  return reached(net.of(cur).input.head(), flow.last_qtail.load(std::memory_order_relaxed));
}

/// Moves a flow's slot. The tail is set to the new CPU's head, so the slot looks drained until the packet now being
/// steered is enqueued there and overwrites it. Kernel: set_rps_cpu.
void set_rps_cpu(Softnet& net, RpsDevFlow& flow, std::uint32_t next) {
  if (net.possible(next)) flow.last_qtail.store(net.of(next).input.head(), std::memory_order_relaxed);
  flow.cpu.store(static_cast<std::uint16_t>(next), std::memory_order_relaxed);
}

/// Rules 6 and 7: sends the flow to `wanted`, or leaves it where it is until it can move in order. cpu -1: that CPU is
/// offline, the map decides.
RpsDecision follow(Softnet& net, SoftnetData& sd, RpsDevFlow& flow, std::uint32_t wanted, const PendingFlows& pending)
    NETRX_REQUIRES(sd.cpu) {
  std::uint32_t cur = flow.cpu.load(std::memory_order_relaxed);
  RpsRule rule = RpsRule::kFollowsFlow;
  if (cur != wanted) {
    if (may_switch(net, flow, cur, pending)) {
      sd.cpu.at(Site::rfs_switch);
      set_rps_cpu(net, flow, wanted);
      cur = wanted;
      rule = RpsRule::kSwitchedToConsumer;
    } else {
      rule = RpsRule::kHeldForOrder;
    }
  }
  if (!net.cpu_online(cur)) return {};
  return {.cpu = static_cast<int>(cur), .rule = rule, .flow = &flow};
}

/// Rules 5 to 7 for a queue with a flow table while the global table exists.
RpsDecision follow_consumer(Softnet& net, SoftnetData& sd, const SteerTables& tables, std::uint32_t hash,
                            const PendingFlows& pending) NETRX_REQUIRES(sd.cpu) {
  const std::uint32_t wish = tables.wishes->read(hash);
  RpsDevFlow& flow = tables.flows->slot(hash);
  const bool speaks_of_this_flow = ((wish ^ hash) & ~tables.wishes->cpu_mask()) == 0;
  if (speaks_of_this_flow) return follow(net, sd, flow, wish & tables.wishes->cpu_mask(), pending);
  if (tables.map == nullptr || net.tunables.rps_map_in_order.read() == 0) return {};
  // Not the kernel's: the map's choice moves the flow under the same rule as a consumer's, so that neither overtakes.
  RpsDecision decision = follow(net, sd, flow, map_cpu(*tables.map, hash), pending);
  if (decision.rule != RpsRule::kHeldForOrder) decision.rule = RpsRule::kMap;
  return decision;
}

}  // namespace

SteerTables steer_tables(const Softnet& net, const Packet& packet) {
  Netif& netif = *packet.dev;
  const std::size_t index = packet.queue_mapping == 0 ? 0 : packet.queue_mapping - 1u;
  if (index >= netif.rx_queues.size()) {
    if (netif.rx_queues.size() > 1) netif.warned_queue_range.store(true, std::memory_order_relaxed);
    return {.why_not = RpsRule::kQueueOutOfRange};
  }
  const NetifRxQueue& rxq = *netif.rx_queues[index];
  return {.map = rxq.rps_map.read(), .flows = rxq.rps_flow_table.read(), .wishes = net.rps_sock_flow_table.read()};
}

void skb_get_hash(SoftnetData& sd, std::span<Packet* const> packets) {
  // A union, because an array of FlowInput would be filled with defaults first, at a fifth of this function's time.
  union Inputs {
    Inputs() {}
    std::array<FlowInput, PacketBatch::kCapacity> items;
  } inputs;
  std::array<FlowHash, PacketBatch::kCapacity> hashes;
  std::array<Packet*, PacketBatch::kCapacity> unhashed;
  std::size_t n = 0;
  for (Packet* packet : packets) {
    if (packet->l4_hash || packet->sw_hash) continue;
    unhashed[n] = packet;
    std::construct_at(&inputs.items[n++], FlowInput::of(*packet));
  }
  if (n == 0) return;
  sd.cpu.at(Site::dissect, static_cast<std::uint32_t>(n));
  unhashed[0]->dev->hasher.hash_batch({inputs.items.data(), n}, {hashes.data(), n});
  for (std::size_t i = 0; i < n; ++i) {
    unhashed[i]->hash = hashes[i].hash;
    unhashed[i]->l4_hash = hashes[i].l4;
    unhashed[i]->sw_hash = true;
  }
}

RpsDecision get_rps_cpu(Softnet& net, SoftnetData& sd, const SteerTables& tables, const Packet& packet,
                        const PendingFlows& pending) {
  const std::uint32_t hash = packet.hash;
  if (hash == 0) return {.rule = RpsRule::kNoHash};
  if (tables.flows != nullptr && tables.wishes != nullptr) {
    const RpsDecision decision = follow_consumer(net, sd, tables, hash, pending);
    if (decision.cpu >= 0) return decision;
  }
  if (tables.map != nullptr) return decide_by_map(net, *tables.map, hash);
  return {.rule = RpsRule::kLocal};
}

}  // namespace netrx
