// SPDX-License-Identifier: Apache-2.0
#include "driver/af_packet/packet_queues.h"

#include <linux/if_packet.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "wire/headers.h"

namespace netrx {

// -- receive

PacketRxQueue::PacketRxQueue(PacketRing ring, const PacketRequest& request, bool ethernet, LiveLife& life)
    : LiveRxQueue(ring.fd.get(), life),
      ring_(std::move(ring)),
      ethernet_(ethernet),
      rxhash_(request.rxhash),
      block_timeout_(std::chrono::milliseconds(request.block_timeout_ms)),
      big_frames_(kLongest, kLongFrames) {}

PacketRing PacketRxQueue::resume_with(PacketRing ring) {
  const std::lock_guard lock(mutex_);
  std::swap(ring_, ring);
  at_.store(0, std::memory_order_relaxed);
  frame_ = nullptr;
  frames_left_ = 0;
  gone_ = Nanos{0};
  resume(ring_.fd.get());
  return ring;
}

tpacket_block_desc& PacketRxQueue::block(std::uint32_t index) const {
  return *reinterpret_cast<tpacket_block_desc*>(ring_.blocks.at() + std::size_t{index} * PacketRequest::kBlockSize);
}

bool PacketRxQueue::something_waits(Nanos now) const {
  const std::uint32_t status =
      __atomic_load_n(&block(at_.load(std::memory_order_relaxed)).hdr.bh1.block_status, __ATOMIC_ACQUIRE);
  if ((status & TP_STATUS_USER) != 0) return true;
  // An interface that went down or away shows only here. To answer, the kernel takes the lock under which it fills the
  // ring, so a CPU that spins does not ask each time.
  constexpr Nanos kNotSoon = std::chrono::microseconds(200);
  const Nanos asked = asked_.load(std::memory_order_relaxed);
  if (now >= asked && now - asked < kNotSoon) return false;
  pollfd one{.fd = fd(), .events = 0, .revents = 0};
  if (::poll(&one, 1, 0) > 0 || (trouble() != 0 && !packet_socket_is_bound(fd()))) return true;
  asked_.store(now, std::memory_order_relaxed);
  return false;
}

Nanos PacketRxQueue::next_attention(Nanos now) {
  const Nanos next = LiveRxQueue::next_attention(now);
  return trouble() != 0 && !exhausted() ? std::min(next, now + kLookAgain) : next;
}

std::size_t PacketRxQueue::receive(PollContext& context, PacketBatch& batch, std::size_t wanted) {
  const std::size_t before = batch.size();
  Step step = Step::frame;
  while (batch.size() - before < wanted && (step == Step::frame || step == Step::skipped))
    step = take_one(context.pool, batch);
  std::uint64_t bytes = 0;
  for (std::size_t i = before; i < batch.size(); ++i) bytes += batch[i]->len;
  polled(context.now, batch.size() - before, bytes, step == Step::dry);
  if (batch.size() != before && trouble() != 0) note_trouble(0);
  if (step == Step::none) look_for_trouble(context.now);
  return batch.size() - before;
}

bool PacketRxQueue::enter_block() {
  const tpacket_block_desc& now = block(at_.load(std::memory_order_relaxed));
  const std::uint32_t status = __atomic_load_n(&now.hdr.bh1.block_status, __ATOMIC_ACQUIRE);
  if ((status & TP_STATUS_USER) == 0) return false;
  if ((status & TP_STATUS_LOSING) != 0) count_drops();
  frames_left_ = now.hdr.bh1.num_pkts;
  frame_ = reinterpret_cast<const std::uint8_t*>(&now) + now.hdr.bh1.offset_to_first_pkt;
  return true;
}

void PacketRxQueue::leave_frame() {
  if (frames_left_ > 1) {
    --frames_left_;
    frame_ += reinterpret_cast<const tpacket3_hdr*>(frame_)->tp_next_offset;
    return;
  }
  const std::uint32_t done = at_.load(std::memory_order_relaxed);
  frame_ = nullptr;
  const auto blocks = static_cast<std::uint32_t>(ring_.blocks.size() / PacketRequest::kBlockSize);
  at_.store((done + 1) % blocks, std::memory_order_relaxed);
  // Behind every read of the block.
  __atomic_store_n(&block(done).hdr.bh1.block_status, std::uint32_t{TP_STATUS_KERNEL}, __ATOMIC_RELEASE);
}

PacketRxQueue::Step PacketRxQueue::take_one(PacketPool& pool, PacketBatch& batch) {
  if (frame_ == nullptr && !enter_block()) return Step::none;
  if (frames_left_ == 0) {  // a block that was handed over empty
    leave_frame();
    return Step::skipped;
  }
  const auto& frame = *reinterpret_cast<const tpacket3_hdr*>(frame_);
  const auto& from = *reinterpret_cast<const sockaddr_ll*>(frame_ + TPACKET_ALIGN(sizeof(tpacket3_hdr)));
  const bool cut = frame.tp_snaplen < frame.tp_len || frame.tp_snaplen > kLongest;
  if (cut) RxQueueStats::add(stats_.rx_length_errors);
  if (cut || from.sll_pkttype == PACKET_OUTGOING) {
    leave_frame();
    return Step::skipped;
  }
  Packet* packet = nullptr;
  if (pool.alloc({&packet, 1}) == 0) return Step::dry;
  if (frame.tp_snaplen > packet->tailroom() && !big_frames_.lend(*packet)) {
    pool.put({&packet, 1});
    return Step::dry;
  }
  if (!fill(frame, *packet)) {
    RxQueueStats::add(stats_.rx_frame_errors);
    if (packet->frame_home != nullptr) big_frames_.frames_home({&packet->frame_id, 1});
    pool.put({&packet, 1});
    leave_frame();
    return Step::skipped;
  }
  if (!ethernet_) {
    packet->protocol = Be16{from.sll_protocol};
    packet->pkt_type = static_cast<PacketKind>(std::min<unsigned>(from.sll_pkttype, PACKET_OTHERHOST));
    packet->network_header = packet->transport_header = packet->mac_header;
  }
  packet->rx_seq = rx_seq_++;
  batch.push_back(packet);
  leave_frame();
  return Step::frame;
}

bool PacketRxQueue::fill(const tpacket3_hdr& frame, Packet& packet) const {
  const std::uint8_t* bytes = reinterpret_cast<const std::uint8_t*>(&frame) + frame.tp_mac;
  std::memcpy(packet.data, bytes, frame.tp_snaplen);
  packet.len = frame.tp_snaplen;
  packet.mac_header = static_cast<std::uint16_t>(packet.headroom());
  if ((frame.tp_status & TP_STATUS_VLAN_VALID) != 0) {
    packet.vlan_present = true;
    packet.vlan_tci = static_cast<std::uint16_t>(frame.hv1.tp_vlan_tci);
    const bool named = (frame.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0;
    packet.vlan_proto = to_be16(named ? frame.hv1.tp_vlan_tpid : std::uint16_t{0x8100});
  }
  if (rxhash_ && frame.hv1.tp_rxhash != 0) {
    packet.hash = frame.hv1.tp_rxhash;
    packet.l4_hash = true;
  }
  VirtioNetHdr header;
  std::memcpy(&header, bytes - sizeof header, sizeof header);
  return virtio_net_hdr_to_packet(header, packet);
}

void PacketRxQueue::look_for_trouble(Nanos now) {
  constexpr Nanos kOften = std::chrono::milliseconds(100);
  if (now - counted_ > kOften || now < counted_) {
    counted_ = now;
    count_drops();
  }
  pollfd one{.fd = fd(), .events = 0, .revents = 0};
  int code = trouble();
  socklen_t size = sizeof code;
  if (::poll(&one, 1, 0) > 0) getsockopt(fd(), SOL_SOCKET, SO_ERROR, &code, &size);  // taken: it is told once
  note_trouble(code);
  if (code == 0 || packet_socket_is_bound(fd())) return;
  // What came last is in a block that is not full. The kernel's timer hands it over, also now.
  const Nanos patience = 3 * block_timeout_ + std::chrono::milliseconds(10);
  if (gone_ == Nanos{0}) gone_ = now;
  if (now - gone_ < patience) return keep_still(now + block_timeout_);
  count_drops();
  end(code);
}

void PacketRxQueue::count_drops() {
  tpacket_stats_v3 counts{};
  socklen_t size = sizeof counts;
  if (getsockopt(fd(), SOL_PACKET, PACKET_STATISTICS, &counts, &size) != 0) return;  // it counts from 0 again
  if (counts.tp_drops != 0) RxQueueStats::add(stats_.rx_missed_errors, counts.tp_drops);
}

// -- transmit

std::size_t PacketTxQueue::gather(std::span<Packet* const> packets) {
  std::size_t used = 0, n = 0;
  for (; n < packets.size() && n < kAtOnce; ++n) {
    const std::span<iovec> room = std::span(pieces_).subspan(used);
    const std::size_t count = frame_pieces(*packets[n], format_, extras_[n], room);
    if (count == 0 && n != 0) break;  // first of the next round
    messages_[n].msg_hdr.msg_iov = room.data();
    messages_[n].msg_hdr.msg_iovlen = count;  // 0: the kernel refuses it
    used += count;
  }
  return n;
}

OwnedFd PacketTxQueue::resume_with(OwnedFd fd) {
  const std::lock_guard lock(mutex_);
  std::swap(fd_, fd);
  note_trouble(0);
  return fd;
}

std::size_t PacketTxQueue::send_gathered(std::size_t messages, bool& full) {
  std::size_t sent = 0;
  while (sent < messages) {
    const int n = sendmmsg(fd_.get(), messages_.data() + sent, static_cast<unsigned>(messages - sent), MSG_DONTWAIT);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
      note_trouble(0);
      continue;
    }
    if (errno == EINTR) continue;
    full = errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM;
    if (full) break;
    note_trouble(errno);
    RxQueueStats::add(stats_.tx_errors);
    ++sent;  // refused for what it is: the others may do better
  }
  return sent;
}

std::size_t PacketTxQueue::send(std::span<Packet* const> packets) {
  std::size_t sent = 0;
  for (bool full = false; sent < packets.size() && !full;) sent += send_gathered(gather(packets.subspan(sent)), full);
  return sent;
}

}  // namespace netrx
