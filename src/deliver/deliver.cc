// SPDX-License-Identifier: Apache-2.0
#include "deliver/deliver.h"

#include <algorithm>

#include "deliver/packet_types.h"
#include "netrx/packet_bytes.h"
#include "softnet/free_packets.h"

namespace netrx {

namespace {

/// Moves a VLAN tag from the frame to the packet's tag fields. False: the frame ends inside the tag. Kernel:
/// skb_vlan_untag.
bool vlan_untag(Packet& packet) {
  if (packet.vlan_present) return true;  // the device took the outer tag out; this one is another's to look at
  if (!may_pull(packet, 4)) return false;
  const std::uint8_t* tag = packet.data;
  packet.vlan_present = true;
  packet.vlan_proto = packet.protocol;
  packet.vlan_tci = to_host(load_unaligned<Be16>(tag));
  const Be16 inner = load_unaligned<Be16>(tag + 2);
  packet.data += 4;
  packet.len -= 4;
  packet.network_header = static_cast<std::uint16_t>(packet.network_header + 4);
  if (to_host(inner) >= 0x0600)
    packet.protocol = inner;
  else
    packet.protocol =
        packet.headlen() >= 2 && load_unaligned<std::uint16_t>(packet.data) == 0xffff ? kEthP8023 : kEthP8022;
  return true;
}

/// Decides about the tag left in the packet's fields. No VLAN devices exist here, so one with an id says that the
/// packet is somebody else's; id 0 only carries a priority, and what it wraps is looked at in its place. False: cut off
/// inside a tag.
bool resolve_tag(Packet& packet) {
  while (packet.vlan_present) {
    packet.vlan_present = false;
    if ((packet.vlan_tci & 0x0fff) != 0)
      packet.pkt_type = PacketKind::otherhost;
    else if (is_vlan(packet.protocol) && !vlan_untag(packet))
      return false;
  }
  return true;
}

void show_taps(const PacketTypes& types, SoftnetData& sd, const Packet& packet) NETRX_REQUIRES(sd.cpu) {
  for (const PacketTypes::TapEntry& entry : types.taps) {
    if (entry.netif != nullptr && entry.netif != packet.dev) continue;
    entry.tap->tap(sd.cpu.id(), sd.now, packet);
    sd.consumed_by_tap.add();
  }
}

/// How long the packets waited between the poll that took them and this one; equal stamps are counted together.
void note_delay(SoftnetData& sd, std::span<Packet* const> packets) NETRX_REQUIRES(sd.cpu) {
  for (std::size_t i = 0; i < packets.size();) {
    std::size_t j = i + 1;
    while (j < packets.size() && packets[j]->tstamp == packets[i]->tstamp) ++j;
    const Nanos delay = packets[i]->tstamp == Nanos{0} ? Nanos{0} : sd.now - packets[i]->tstamp;
    sd.queueing_delay.add(static_cast<std::uint64_t>(std::max(delay, Nanos{0}).count()), j - i);
    i = j;
  }
}

void unhandled(Softnet& net, SoftnetData& sd, std::span<Packet*> run, DropReason reason) NETRX_REQUIRES(sd.cpu) {
  run[0]->dev->rx_dropped.add(run.size());
  drop_packets(net, sd, run, reason);
}

void hand_up(Softnet& net, SoftnetData& sd, PacketHandler* handler, std::span<Packet*> run) NETRX_REQUIRES(sd.cpu) {
  if (handler == nullptr) return unhandled(net, sd, run, DropReason::kUnhandledProto);
  Delivery delivery(net, sd, run);
  handler->receive(delivery);
  sd.delivered.add(run.size() - delivery.dropped());
  if (delivery.gone() != 0) {
    const auto end = std::remove(run.begin(), run.end(), nullptr);
    run = run.first(static_cast<std::size_t>(end - run.begin()));
  }
  consume_packets(net, sd, run);
}

/// Tracepoint, taps and VLAN tags. False: the packet has no readable network header.
bool look_at(const PacketTypes& types, Softnet& net, SoftnetData& sd, Packet& packet) NETRX_REQUIRES(sd.cpu) {
  if (net.tracer != nullptr) net.tracer->netif_receive_skb(sd.cpu.id(), packet);
  if (is_vlan(packet.protocol) && !vlan_untag(packet)) return false;
  show_taps(types, sd, packet);
  return resolve_tag(packet);
}

/// Looks at each packet and drops the unreadable; returns the others, in order.
std::span<Packet*> prepare(const PacketTypes& types, Softnet& net, SoftnetData& sd, std::span<Packet*> packets)
    NETRX_REQUIRES(sd.cpu) {
  const bool watched = net.tracer != nullptr || !types.taps.empty();
  std::size_t kept = 0;
  for (Packet* packet : packets) {
    const bool plain = !packet->vlan_present && !is_vlan(packet->protocol);
    if ((plain && !watched) || look_at(types, net, sd, *packet))
      packets[kept++] = packet;
    else
      drop_packets(net, sd, {&packet, 1}, DropReason::kPktTooSmall);
  }
  return packets.first(kept);
}

}  // namespace

// A delivery is made and used inside the occupation of its CPU, which the analysis can't see through the handler.
Delivery::Delivery(Softnet& net, SoftnetData& sd, std::span<Packet*> packets) NETRX_NO_THREAD_SAFETY_ANALYSIS
    : net_(net),
      sd_(sd),
      actor_(sd.cpu.actor()),
      cpu_(sd.cpu.id()),
      now_(sd.now),
      packets_(packets) {}

void Delivery::drop(std::size_t i, DropReason reason) NETRX_NO_THREAD_SAFETY_ANALYSIS {
  Packet* packet = keep(i);
  ++dropped_;
  drop_packets(net_, sd_, {&packet, 1}, reason);
}

void Delivery::end(std::span<Packet*> packets) NETRX_NO_THREAD_SAFETY_ANALYSIS { consume_packets(net_, sd_, packets); }

void deliver_packets(Softnet& net, SoftnetData& sd, std::span<Packet*> packets) {
  const std::uint32_t n = static_cast<std::uint32_t>(packets.size());
  sd.cpu.at(Site::deliver, n);
  sd.processed.add(n);
  note_delay(sd, packets);

  const PacketTypes& types = *net.packet_types.read();
  packets = prepare(types, net, sd, packets);
  for (std::size_t i = 0; i < packets.size();) {
    std::size_t j = i + 1;
    while (j < packets.size() && packets[j]->protocol == packets[i]->protocol && packets[j]->dev == packets[i]->dev)
      ++j;
    hand_up(net, sd, types.find(packets[i]->protocol, packets[i]->dev), packets.subspan(i, j - i));
    i = j;
  }
}

}  // namespace netrx
