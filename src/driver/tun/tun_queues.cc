// SPDX-License-Identifier: Apache-2.0
#include "driver/tun/tun_queues.h"

#include <poll.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "driver/live/frame_pieces.h"
#include "netrx/ethertype.h"
#include "wire/headers.h"

namespace netrx {

namespace {

bool is_momentary(int code) { return code == EAGAIN || code == EINTR || code == ENOBUFS || code == ENOMEM; }

}  // namespace

// -- receive

bool TunRxQueue::something_waits(Nanos) const {
  pollfd one{.fd = fd(), .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, 0) > 0;
}

void TunRxQueue::resume_with(int fd) {
  const std::lock_guard lock(mutex_);
  resume(fd);
}

std::size_t TunRxQueue::receive(PollContext& context, PacketBatch& batch, std::size_t wanted) {
  constexpr std::size_t kAtOnce = 16;  // packets drawn from the pool for a queue that may hold one frame
  const std::size_t before = batch.size();
  bool more = true, dry = false;
  while (more && batch.size() - before < wanted)
    read_some(context, batch, std::min(wanted - (batch.size() - before), kAtOnce), more, dry);
  std::uint64_t bytes = 0;
  for (std::size_t i = before; i < batch.size(); ++i) bytes += batch[i]->len;
  polled(context.now, batch.size() - before, bytes, dry);
  return batch.size() - before;
}

std::size_t TunRxQueue::read_some(PollContext& context, PacketBatch& batch, std::size_t wanted, bool& more, bool& dry) {
  std::array<Packet*, PacketBatch::kCapacity + 1> packets;
  std::size_t allocated = context.pool.alloc({packets.data(), wanted + 1});
  const bool pool_is_dry = allocated < wanted + 1;
  Target target{nullptr, nullptr, true};
  std::size_t next = 0, got = 0;
  while (got < wanted && more) {
    // Each frame needs a packet, and another stands by for what does not fit it.
    if (allocated - next < (target.rest_used ? 2u : 1u)) {
      dry = pool_is_dry;
      break;
    }
    if (target.rest_used && !big_frames_.lend(*packets[allocated - 1])) {
      dry = true;
      break;
    }
    if (target.rest_used) target = {nullptr, packets[--allocated], false};
    target.packet = packets[next++];
    switch (read_one(target)) {
      case Got::frame:
        target.packet->rx_seq = rx_seq_++;
        batch.push_back(target.packet);
        ++got;
        break;
      case Got::bad_frame:
        RxQueueStats::add(stats_.rx_frame_errors);
        discard(context.pool, target);
        break;
      case Got::gone:
      case Got::nothing:
        more = false;
        --next;
        break;
    }
  }
  if (dry) more = false;
  if (!target.rest_used) {
    big_frames_.frames_home({&target.rest->frame_id, 1});
    packets[allocated++] = target.rest;
  }
  context.pool.put({packets.data() + next, allocated - next});
  return got;
}

TunRxQueue::Got TunRxQueue::read_one(Target& target) {
  Packet& packet = *target.packet;
  VirtioNetHdr header;
  const std::size_t room = packet.tailroom();
  const std::size_t prefix = format_.vnet_hdr ? sizeof header : 0;
  const std::array<iovec, 3> all{
      {{&header, sizeof header}, {packet.data, room}, {target.rest->data, target.rest->tailroom()}}};
  const std::span<const iovec> pieces = std::span(all).subspan(format_.vnet_hdr ? 0 : 1);
  ssize_t n;
  do n = readv(fd(), pieces.data(), static_cast<int>(pieces.size()));
  while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) return Got::nothing;
  if (n < 0) {
    end(errno);
    return Got::gone;
  }
  if (static_cast<std::size_t>(n) < prefix) return Got::bad_frame;
  const std::size_t size = static_cast<std::size_t>(n) - prefix;
  packet.len = static_cast<std::uint32_t>(std::min(size, room));
  if (size > room) {
    target.rest->len = static_cast<std::uint32_t>(size - room);
    Packet* last = nullptr;
    append_frag(packet, last, *target.rest);
    packet.nr_frags = 1;
    target.rest_used = true;
  }
  return make_packet(packet, header) ? Got::frame : Got::bad_frame;
}

bool TunRxQueue::make_packet(Packet& packet, const VirtioNetHdr& header) const {
  packet.mac_header = static_cast<std::uint16_t>(packet.headroom());
  if (!format_.ethernet) {
    if (packet.headlen() == 0) return false;
    const int version = packet.data[0] >> 4;
    if (version != 4 && version != 6) return false;
    packet.protocol = version == 4 ? kEthPIp : kEthPIpv6;
    packet.network_header = packet.transport_header = packet.mac_header;
  }
  return !format_.vnet_hdr || virtio_net_hdr_to_packet(header, packet);
}

void TunRxQueue::discard(PacketPool& pool, Target& target) {
  if (target.packet->frags != nullptr) {
    big_frames_.frames_home({&target.rest->frame_id, 1});
    pool.put({&target.rest, 1});
  }
  pool.put({&target.packet, 1});
}

// -- transmit

void TunTxQueue::resume_with(int fd) {
  const std::lock_guard lock(mutex_);
  fd_ = fd;
  note_trouble(0);
}

std::size_t TunTxQueue::send(std::span<Packet* const> packets) {
  std::size_t n = 0;
  while (n < packets.size() && write(*packets[n])) ++n;
  return n;
}

bool TunTxQueue::write(const Packet& packet) {
  FrameExtras extras;
  std::array<iovec, kMostFramePieces> pieces;
  const std::size_t count = frame_pieces(packet, format_, extras, pieces);
  int code = EINVAL;
  if (count != 0) {
    ssize_t n;
    do n = writev(fd_, pieces.data(), static_cast<int>(count));
    while (n < 0 && errno == EINTR);
    code = n < 0 ? errno : 0;
  }
  if (is_momentary(code)) return false;
  note_trouble(code);
  if (code != 0) RxQueueStats::add(stats_.tx_errors);
  return true;
}

}  // namespace netrx
