// SPDX-License-Identifier: Apache-2.0
#include "flow_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "netrx/ethertype.h"

namespace netrx::cli {

namespace {

constexpr std::uint32_t kProbes = 32;
constexpr std::size_t kMaxSlots = std::size_t{1} << 19;

constexpr bool chosen_by_rfs(RpsRule rule) {
  return rule == RpsRule::kFollowsFlow || rule == RpsRule::kSwitchedToConsumer || rule == RpsRule::kHeldForOrder;
}

/// One of the two directions that share a flow hash: between them nobody promises order.
bool towards_greater(const Packet& packet) {
  const std::span<const std::uint8_t> bytes = packet.linear();
  Be16 type = packet.protocol;
  std::size_t at = 0;
  for (; is_vlan(type) && bytes.size() >= at + 4; at += 4) type = load_unaligned<Be16>(&bytes[at + 2]);
  const std::size_t size = type == kEthPIp ? 4 : 16;
  const std::size_t from = at + (type == kEthPIp ? 12 : 8);
  if ((type != kEthPIp && type != kEthPIpv6) || bytes.size() < from + 2 * size) return false;
  const int order = std::memcmp(&bytes[from], &bytes[from + size], size);
  if (order != 0) return order < 0;
  const std::size_t ports = at + (type == kEthPIp ? (bytes[at] & 0xfu) * 4 : 40);
  return bytes.size() >= ports + 4 && std::memcmp(&bytes[ports], &bytes[ports + 2], 2) < 0;
}

void count(std::atomic<std::uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

// Twice as many slots as flows keep the probes short.
FlowTable::FlowTable(std::size_t flows) : hasher_(SipHash(SipHashKey{})) {
  if (flows == 0) return;
  const std::size_t slots = std::min(std::bit_ceil(std::max<std::size_t>(flows, 32) * 2), kMaxSlots);
  slots_ = std::make_unique<Slot[]>(slots);
  mask_ = static_cast<std::uint32_t>(slots - 1);
}

std::uint32_t FlowTable::device_number(const Netif* device) {
  for (std::uint32_t i = 0; i < devices_.size(); ++i) {
    const Netif* at = devices_[i].load(std::memory_order_relaxed);
    if (at == device || (at == nullptr && devices_[i].compare_exchange_strong(at, device)) || at == device)
      return i + 1;
  }
  return 0;
}

std::uint64_t FlowTable::key_of(const Packet& packet) {
  std::uint32_t hash = packet.hash;
  if (!packet.l4_hash && !packet.sw_hash)  // steering had no use for one
    hash = hasher_.hash(FlowInput::of(packet)).hash;
  const std::uint64_t device = device_number(packet.dev);
  const std::uint64_t direction = towards_greater(packet) ? 1 : 0;
  return direction << 56 | device << 48 | std::uint64_t{packet.queue_mapping} << 32 | hash;
}

std::uint32_t FlowTable::find(std::uint64_t key) {
  std::uint32_t at = static_cast<std::uint32_t>((key * 0x9e3779b97f4a7c15u) >> 40) & mask_;
  for (std::uint32_t probe = 0; probe < kProbes; ++probe, at = (at + 1) & mask_) {
    std::uint64_t there = slots_[at].key.load(std::memory_order_relaxed);
    if (there == key) return at;
    if (there != 0) continue;
    if (slots_[at].key.compare_exchange_strong(there, key, std::memory_order_relaxed)) {
      count(flows_);
      return at;
    }
    if (there == key) return at;
  }
  return kNoSlot;
}

std::uint32_t FlowTable::delivered(const Packet& packet) {
  if (!enabled()) return kNoSlot;
  const std::uint32_t slot = find(key_of(packet));
  if (slot == kNoSlot)
    count(delivery_.unchecked);
  else
    check_all(slots_[slot].delivered, slots_[slot], packet, delivery_);
  return slot;
}

void FlowTable::consumed(std::uint32_t slot, const Packet& packet) {
  if (slot == kNoSlot)
    count(consumption_.unchecked);
  else
    check_all(slots_[slot].consumed, slots_[slot], packet, consumption_);
}

/// The packet and those that were merged into it.
void FlowTable::check_all(std::atomic<std::uint64_t>& newest, const Slot& slot, const Packet& packet, Place& place) {
  const bool held = packet.gro_held && !gro_in_order_;
  check(newest, slot, packet, held, place);
  if (packet.gso_size == 0) return;
  for (const Packet* part = packet.frags; part != nullptr; part = part->next)
    if (part->network_header != 0) check(newest, slot, *part, held, place);  // else a buffer, which never was a packet
}

void FlowTable::check(std::atomic<std::uint64_t>& newest, const Slot& slot, const Packet& packet, bool held,
                      Place& place) {
  const std::uint64_t seq = packet.rx_seq + 1;
  std::uint64_t before = newest.load(std::memory_order_acquire);
  while (before < seq && !newest.compare_exchange_weak(before, seq, std::memory_order_acq_rel)) {
  }
  if (before < seq) return;
  // Late because of a move: it belongs before one, and what overtook it came with one or after it.
  const std::uint64_t last_move = slot.last_move.load(std::memory_order_relaxed);
  if (before != seq && seq < last_move && before >= slot.first_move.load(std::memory_order_relaxed))
    return count(place.late_moving);
  if (before != seq && held) return count(place.late_held);
  count(before == seq ? place.repeated : place.late);
  if (place.has_first.exchange(true)) return;
  place.first_seq = packet.rx_seq;
  place.first_behind = before - 1;
  place.first_hash = packet.hash;
}

void FlowTable::get_rps_cpu(std::uint16_t, const Packet& packet, int target, RpsRule rule) {
  const std::uint32_t at = find(key_of(packet));
  if (at == kNoSlot) return;
  Slot& slot = slots_[at];
  // target + 2: "here" (-1) is another place than this CPU's own backlog, and 0 says that there was no packet yet.
  const bool kept_in_order = chosen_by_rfs(rule) || (map_in_order_ && rule == RpsRule::kMap);
  const std::uint32_t now = static_cast<std::uint32_t>(target + 2) << 1 | kept_in_order;
  const std::uint32_t before = slot.decision.load(std::memory_order_relaxed);
  if (now == before) return;
  slot.decision.store(now, std::memory_order_relaxed);
  const bool protected_move = (before & 1) != 0 && (now & 1) != 0;
  if (before == 0 || protected_move || now >> 1 == before >> 1) return;
  const std::uint64_t seq = packet.rx_seq + 1;
  if (slot.first_move.load(std::memory_order_relaxed) == 0) slot.first_move.store(seq, std::memory_order_relaxed);
  slot.last_move.store(seq, std::memory_order_relaxed);
  count(moves_);
}

OrderCount FlowTable::read(const Place& place, std::uint64_t packets) const {
  OrderCount order;
  order.unchecked = enabled() ? place.unchecked.load() : packets;
  order.checked = packets - std::min(packets, order.unchecked);
  order.late = place.late.load();
  order.late_moving = place.late_moving.load();
  order.late_held = place.late_held.load();
  order.repeated = place.repeated.load();
  if (place.has_first.load())
    order.first = fmt::format("flow {:08x}: packet {} came after packet {}", place.first_hash, place.first_seq,
                              place.first_behind);
  return order;
}

}  // namespace netrx::cli
