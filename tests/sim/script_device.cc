// SPDX-License-Identifier: Apache-2.0
#include "script_device.h"

#include <algorithm>
#include <cstring>

#include "wire/checksum.h"
#include "wire/frame_builder.h"

namespace netrx::simtest {

namespace {

constexpr std::size_t kSourceMac = 6;
constexpr std::size_t kShortFrame = 13;
constexpr std::uint32_t kSegment = 4;

std::vector<std::uint8_t> build(std::uint32_t id, bool exotic) {
  using wire::FrameBuilder;
  const std::uint16_t port = static_cast<std::uint16_t>(1024 + id);
  const std::uint32_t kind = exotic ? id % 6 : id % 2;
  if (id % 4 == 2)
    return FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").tcp(port, 53).payload(kSegment).build().bytes;
  if (id % 4 == 3) return FrameBuilder().eth().ipv6("fd00::1", "fd00::2").tcp(port, 53).payload(kSegment).build().bytes;
  if (kind == 1) return FrameBuilder().eth().ipv6("fd00::1", "fd00::2").udp(port, 53).payload(4).build().bytes;
  if (kind == 2)
    return FrameBuilder().eth().vlan(5).ipv4("10.0.0.1", "10.0.0.2").udp(port, 53).payload(4).build().bytes;
  if (kind == 3)
    return FrameBuilder().eth().vlan(0).ipv4("10.0.0.1", "10.0.0.2").udp(port, 53).payload(4).build().bytes;
  auto bytes = FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").udp(port, 53).payload(4).build().bytes;
  if (kind == 4) bytes.resize(kShortFrame);
  if (kind == 5) bytes[12] = bytes[13] = 0x9a;  // an EtherType nobody takes
  return bytes;
}

}  // namespace

std::uint32_t flow_of(const Packet& packet) {
  std::uint32_t id;
  std::memcpy(&id, packet.mac() + kSourceMac + 2, sizeof id);
  return id;
}

Flow make_flow(std::uint32_t id, bool exotic) {
  Flow flow;
  flow.frame = build(id, exotic);
  flow.tcp = id % 4 >= 2;
  flow.frame[kSourceMac] = 2;  // locally administered
  flow.frame[kSourceMac + 1] = 0;
  std::memcpy(flow.frame.data() + kSourceMac + 2, &id, sizeof id);
  return flow;
}

// Some segments end what GRO merges.
void StreamWriter::write(std::uint8_t* frame, const Flow& flow, std::uint32_t arrival) {
  std::uint32_t& position = positions_[&flow];
  const bool ipv4 = frame[12] == 0x08;
  std::uint8_t* tcp = frame + wire::EthernetView::kSize + (ipv4 ? 20 : 40);
  const Be32 seq = to_be32(position);
  std::memcpy(tcp + 4, &seq, sizeof seq);
  if (arrival % 16 == 15) tcp[13] |= wire::TcpView::kPsh;
  if (ipv4) {
    std::uint8_t* ip = frame + wire::EthernetView::kSize;
    ip[6] = 0x40;  // DF
    ip[10] = ip[11] = 0;
    const Be16 check = wire::csum_fold(wire::csum_partial({ip, 20}));
    std::memcpy(ip + 10, &check, sizeof check);
  }
  position += arrival % 7 == 6 ? 2 * kSegment : kSegment;
}

void ScriptQueue::arrive(Nanos now) {
  for (; arrived_ < script_.arrivals.size() && script_.arrivals[arrived_].at <= now; ++arrived_) {
    if (waiting_.size() < script_.ring)
      waiting_.push_back(static_cast<std::uint32_t>(arrived_));
    else
      RxQueueStats::add(stats_.rx_missed_errors);
  }
}

std::size_t ScriptQueue::poll(PollContext& context, PacketBatch& batch, std::size_t budget) {
  arrive(context.now);
  const std::size_t wanted = std::min({budget, batch.room(), waiting_.size()});
  const std::size_t before = batch.size();
  const std::size_t got = context.pool.alloc(batch.extend(wanted));
  batch.truncate(before + got);
  if (got < wanted) RxQueueStats::add(stats_.rx_alloc_fail);
  for (std::size_t i = 0; i < got; ++i) {
    Packet& packet = *batch[before + i];
    const Flow& flow = flows_[script_.arrivals[waiting_[i]].flow];
    fill(packet, flow, waiting_[i]);
    RxQueueStats::add(stats_.rx_bytes, flow.frame.size());
    if (on_received) on_received(packet);
  }
  RxQueueStats::add(stats_.rx_packets, got);
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(got));
  return got;
}

/// Streams' checksums need not be right: the device has verified them.
void ScriptQueue::fill(Packet& packet, const Flow& flow, std::uint32_t arrival) {
  std::memcpy(packet.data, flow.frame.data(), flow.frame.size());
  packet.len = static_cast<std::uint32_t>(flow.frame.size());
  packet.mac_header = static_cast<std::uint16_t>(packet.headroom());
  packet.rx_seq = arrival;
  packet.hash = flow.hash;
  packet.l4_hash = flow.hash != 0;
  if (!flow.tcp) return;
  packet.ip_summed = IpSummed::unnecessary;
  streams_.write(packet.data, flow, arrival);
}

RxQueue::IrqCookie ScriptQueue::irq_unmask() {
  masked_ = false;
  signalled_ = false;
  arrive(clock_.now());
  announced_from_ = arrived_;
  return static_cast<IrqCookie>(arrived_);
}

// What arrived between the last poll and the unmasking; later ones have their interrupt.
bool ScriptQueue::irq_missed(IrqCookie cookie) { return !waiting_.empty() && waiting_.front() < cookie; }

bool ScriptQueue::would_interrupt(Nanos now) {
  arrive(now);
  if (masked_ || waiting_.empty()) return false;
  return script_.irq == IrqKind::level || (!signalled_ && waiting_.back() >= announced_from_);
}

bool ScriptQueue::irq_take(Nanos now) {
  if (!would_interrupt(now)) return false;
  signalled_ = true;
  return true;
}

// A masked queue still says when the next frame comes: whoever unmasks it may be another CPU, which would have to tell.
Nanos ScriptQueue::next_attention(Nanos now) { return would_interrupt(now) ? now : next_arrival(); }

ScriptDevice::ScriptDevice(std::string name, std::vector<ScriptQueue::Script> scripts, const std::vector<Flow>& flows,
                           Clock& clock, FlowHashKind hash)
    : name_(std::move(name)), hash_(hash) {
  for (ScriptQueue::Script& script : scripts)
    queues_.push_back(std::make_unique<ScriptQueue>(std::move(script), flows, clock));
}

}  // namespace netrx::simtest
