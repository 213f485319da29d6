// SPDX-License-Identifier: Apache-2.0
#include "gro/gro.h"

#include <bit>
#include <cstring>

#include "gro/gro_headers.h"
#include "gro/may_merge.h"
#include "gro/merge.h"
#include "gro/plain_headers.h"
#include "netrx/ethertype.h"
#include "wire/headers.h"

namespace netrx {

namespace {

using enum GroRefusal;

constexpr std::size_t kMostAtOnce = 2;  // packets that one packet adds to rx_list, itself and one it pushes out
constexpr std::uint16_t kUdpGroCntMax = 64;

/// A place in the table.
struct Where {
  std::uint32_t bucket;
  std::uint32_t position;  ///< 0 is the oldest
};

GroHeld& held_at(GroNode& gro, Where where) {
  const std::uint32_t slot = gro.bucket[where.bucket].slots[where.position];
  return (*gro.held)[where.bucket * GroBucket::kCapacity + slot];
}

void list(GroNode& gro, Packet* packet, std::uint32_t segments) {
  gro.rx_list.push_back(packet);
  gro.rx_count += segments;
}

/// The packet leaves the table.
GroHeld& take_out(GroNode& gro, Where where) {
  GroHeld& held = held_at(gro, where);
  GroBucket& bucket = gro.bucket[where.bucket];
  const std::uint8_t slot = bucket.slots[where.position];
  for (std::uint32_t i = where.position; i + 1 < bucket.count; ++i) {
    bucket.tags[i] = bucket.tags[i + 1];
    bucket.slots[i] = bucket.slots[i + 1];
  }
  bucket.slots[--bucket.count] = slot;
  if (bucket.count == 0) gro.bitmask &= ~(std::uint64_t{1} << where.bucket);
  gro.held_out.add();
  gro.parts_out.add(held.parts);
  return held;
}

void push_out(GroNode& gro, Where where) {
  GroHeld& held = take_out(gro, where);
  list(gro, complete(held), held.count);
}

void put_in(GroNode& gro, const GroRules& rules, std::uint32_t at, Packet& packet, const GroSegment& segment) {
  GroBucket& bucket = gro.bucket[at];
  if (bucket.count == GroBucket::kCapacity) push_out(gro, {at, 0});
  const Where where{at, bucket.count++};
  bucket.tags[where.position] = segment.tag;
  hold(held_at(gro, where), packet, segment, rules);
  gro.bitmask |= std::uint64_t{1} << at;
  gro.held_in.add();
  gro.parts_in.add(held_at(gro, where).parts);
}

/// Where a flow's packets are held. By the kernel's rule all those without a hash share one bucket. The setting takes
/// effect only while nothing is held: a flow would not find itself again.
std::uint32_t bucket_of(GroNode& gro, const GroRules& rules, const GroSegment& segment) {
  if (gro.bitmask == 0) gro.flow_buckets = rules.flow_buckets;
  if (gro.flow_buckets == 0) return segment.key.hash() & (GroNode::kKernelBuckets - 1);
  return (segment.tag >> 8) & (gro.flow_buckets - 1);
}

/// A held packet and its place; null: nothing is held.
struct Found {
  GroHeld* held;
  Where where;
};

/// What is held of the segment's flow, its key compared: the newest first, as the kernel's list is walked; there is at
/// most one. `matches` has the last word.
template <class Matches>
[[gnu::always_inline]] inline Found find(GroNode& gro, std::uint32_t at, const GroSegment& segment, Matches matches) {
  const GroBucket& bucket = gro.bucket[at];
  for (std::uint32_t i = bucket.count; i-- > 0;) {
    if (bucket.tags[i] != segment.tag) continue;
    GroHeld& held = held_at(gro, {at, i});
    if (held.key == segment.key && matches(held)) return {&held, {at, i}};
  }
  return {nullptr, {at, 0}};
}

/// What is to be done with one packet.
struct Plan {
  GroRefusal why_not = kNone;
  bool merge = false;
  bool push_held = false;
  bool hold = false;  ///< else, unless it merges, it goes up as it is
};

/// Flags that end an aggregate.
bool ends_aggregate(const GroSegment& segment) {
  constexpr std::uint8_t kEnding =
      wire::TcpView::kUrg | wire::TcpView::kPsh | wire::TcpView::kRst | wire::TcpView::kSyn | wire::TcpView::kFin;
  return ((segment.flag_word >> 8) & kEnding) != 0;
}

/// Kernel: the end of tcp_gro_receive.
Plan plan_tcp(const GroHeld* held, GroRefusal why_not, const Packet& packet, const GroSegment& segment) {
  Plan plan{.why_not = why_not, .merge = held != nullptr && why_not == kNone};
  const std::uint32_t full = plan.merge ? held->packet->gso_size : 1;
  const bool short_one =
      packet.gso_size != 0 ? segment.payload != packet.gso_segs * packet.gso_size : segment.payload < full;
  const bool last = short_one || ends_aggregate(segment);
  plan.push_held = held != nullptr && (!plan.merge || last);
  plan.hold = !plan.merge && !last && segment.flush == kNone;
  if (held == nullptr && !plan.hold && plan.why_not == kNone)
    plan.why_not = segment.flush != kNone ? segment.flush : segment.payload == 0 ? kEmpty : kFlags;
  return plan;
}

/// Kernel: the end of udp_gro_receive_segment.
Plan plan_udp(const GroHeld* held, GroRefusal why_not, const GroSegment& segment) {
  if (held == nullptr) return {.why_not = segment.flush, .hold = segment.flush == kNone};
  if (why_not == kCsumState) return {.why_not = why_not};
  if (why_not == kNone) {
    const bool last = segment.payload != held->packet->gso_size || held->count + 1 >= kUdpGroCntMax;
    return {.merge = true, .push_held = last};
  }
  return {.why_not = why_not, .push_held = true, .hold = why_not != kMode && segment.flush == kNone};
}

/// GSO packets count as their segments; only those of TCP whose making is known may merge.
void judge_gso(const Packet& packet, GroSegment& segment) {
  std::uint32_t frags = 0;
  for (const Packet* frag = packet.frags; frag != nullptr; frag = frag->next) ++frags;
  if (frags > packet.nr_frags) segment.flush = kFraglist;
  const bool known = (packet.gso_type & (kGsoTcpv4 | kGsoTcpv6)) != 0 && (packet.gso_type & kGsoDodgy) == 0;
  if (packet.gso_size != 0 && !known) segment.flush = kGso;
}

/// The addresses of the outermost IP header, null where none can be read.
struct OuterAddresses {
  const std::uint8_t* at = nullptr;
  std::size_t size = 0;
};
OuterAddresses outer_addresses(const Packet& packet) {
  Be16 type = packet.protocol;
  std::uint32_t at = 0;
  for (; is_vlan(type) && packet.headlen() >= at + wire::VlanView::kSize; at += wire::VlanView::kSize)
    type = wire::VlanView{packet.data + at}.ether_type();
  if (type == kEthPIp && packet.headlen() >= at + wire::Ipv4View::kSize)
    return {wire::Ipv4View{packet.data + at}.addresses(), 8};
  if (type == kEthPIpv6 && packet.headlen() >= at + wire::Ipv6View::kSize)
    return {wire::Ipv6View{packet.data + at}.addresses(), 32};
  return {};
}

/// Whether a packet that goes up by itself may be of the held packet's flow. Unreadable: it may.
bool may_be_of_flow(const GroHeld& held, const Packet& packet, const GroHeaders& headers) {
  // How far into a tunnel the packet could be read does not tell whether it is one's.
  const bool plain = held.tunnel == GroTunnel::none && !headers.encapsulated();
  if (plain && headers.protocol != 0 && headers.protocol != held.key.protocol()) return false;
  const OuterAddresses a = outer_addresses(*held.packet), b = outer_addresses(packet);
  return b.at == nullptr || (a.size == b.size && std::memcmp(a.at, b.at, a.size) == 0);
}

/// Whether both carry the same five-tuple, whatever else of their keys differs.
bool same_five_tuple(const GroKey& a, const GroKey& b) {
  constexpr std::uint32_t kVersionAndProtocol = 0xfff00000;
  return a.ports() == b.ports() && ((a.label() ^ b.label()) & kVersionAndProtocol) == 0 && a.address == b.address;
}

/// Not the kernel's: pushes out what the packet must not overtake, whether it goes up itself or founds a new aggregate
/// because its key differs. False: rx_list is full.
bool clear_the_way(GroNode& gro, const Packet& packet, const GroHeaders& headers, GroRefusal refusal) {
  if (refusal == kNotOffloaded) return true;  // neither TCP nor UDP
  for (std::uint64_t left = gro.bitmask; left != 0; left &= left - 1) {
    const auto at = static_cast<std::uint32_t>(std::countr_zero(left));
    for (std::uint32_t i = 0; i < gro.bucket[at].count;) {
      const GroHeld& held = held_at(gro, {at, i});
      const bool overtaken = refusal != kNone ? may_be_of_flow(held, packet, headers)
                                              : same_five_tuple(held.key, headers.key) &&
                                                    !(held.key == headers.key && same_layers(held, packet, headers));
      if (!overtaken) {
        ++i;
        continue;
      }
      if (gro.rx_list.room() <= kMostAtOnce) return false;
      push_out(gro, {at, i});
    }
  }
  return true;
}

GroStep go_up(GroNode& gro, Packet& packet, GroRefusal why_not) {
  list(gro, &packet, 1);
  return {GroResult::normal, why_not};
}

/// Merges the packet into what is held of its flow, or lets that go up, or holds the packet, or does not.
GroStep settle(GroNode& gro, const GroRules& rules, Packet& packet, GroSegment& segment, Found found) {
  GroHeld* const held = found.held;
  GroRefusal why_not = kNone;
  if (held != nullptr) {
    if (segment.tcp) segment.fraglist = held->fraglist;
    const GroVerdict verdict = may_merge(*held, packet, segment, rules);
    held->fixed_id = verdict.fixed_id;
    why_not = verdict.why_not;
  }
  const Plan plan = segment.tcp ? plan_tcp(held, why_not, packet, segment) : plan_udp(held, why_not, segment);
  GroResult result = GroResult::held;
  if (plan.merge) {
    const std::uint16_t parts = held->parts;
    result = append(*held, packet, segment, rules) ? GroResult::merged : GroResult::merged_free;
    gro.parts_in.add(held->parts - std::uint32_t{parts});
  }
  if (plan.push_held) push_out(gro, found.where);
  if (plan.hold)
    put_in(gro, rules, found.where.bucket, packet, segment);
  else if (!plan.merge)
    return go_up(gro, packet, plan.why_not);
  return {result, plan.why_not};
}

/// Any packet.
[[gnu::noinline]] GroStep receive_any(GroNode& gro, const GroRules& rules, Packet& packet) {
  GroHeaders headers;
  judge_gso(packet, headers);
  const GroRefusal refusal = rules.on ? read_gro_headers(packet, rules, headers) : kOff;
  if (rules.in_order && !clear_the_way(gro, packet, headers, refusal)) return GroStep::list_full();
  if (refusal != kNone) return go_up(gro, packet, refusal);
  const Found found = find(gro, bucket_of(gro, rules, headers), headers,
                           [&](const GroHeld& held) { return same_layers(held, packet, headers); });
  return settle(gro, rules, packet, headers, found);
}

/// A plain packet that does not simply go on where its flow is.
[[gnu::noinline]] GroStep receive_plain(GroNode& gro, const GroRules& rules, Packet& packet, GroSegment segment) {
  const Found found = find(gro, bucket_of(gro, rules, segment), segment,
                           [](const GroHeld& held) { return held.tunnel == GroTunnel::none; });
  return settle(gro, rules, packet, segment, found);
}

}  // namespace

GroStep gro_receive(GroNode& gro, const GroRules& rules, Packet& packet) {
  if (gro.rx_list.room() < kMostAtOnce) return GroStep::list_full();
  GroSegment segment;
  PlainHeaders plain(packet, rules, segment);
  if (!rules.plain() || !plain.read()) return receive_any(gro, rules, packet);
  if (plain.refusal() != kNone) return go_up(gro, packet, plain.refusal());

  const Found found = find(gro, bucket_of(gro, rules, segment), segment, [](const GroHeld&) { return true; });
  if (found.held != nullptr) {
    GroHeld& held = *found.held;
    if (continues_plainly(held, packet, segment, rules)) [[likely]] {
      const bool chained = append_plainly(held, packet, segment, rules);
      gro.parts_in.add();
      if (segment.payload < held.packet->gso_size || ends_aggregate(segment)) push_out(gro, found.where);
      return {chained ? GroResult::merged : GroResult::merged_free, kNone};
    }
  }
  return receive_plain(gro, rules, packet, segment);
}

bool gro_flush(GroNode& gro, const GroRules& rules, bool only_old) {
  for (std::uint64_t left = gro.bitmask; left != 0; left &= left - 1) {
    const auto at = static_cast<std::uint32_t>(std::countr_zero(left));
    while (gro.bucket[at].count != 0) {
      if (only_old && held_at(gro, {at, 0}).age == rules.jiffies) break;
      if (gro.rx_list.full()) return false;
      push_out(gro, {at, 0});
    }
  }
  return true;
}

void gro_give_up(GroNode& gro, PacketBatch& into) {
  while (gro.bitmask != 0 && !into.full())
    into.push_back(take_out(gro, {static_cast<std::uint32_t>(std::countr_zero(gro.bitmask)), 0}).packet);
}

}  // namespace netrx
