// SPDX-License-Identifier: Apache-2.0
#include "driver/af_xdp/xdp_queues.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "driver/live/frame_pieces.h"
#include "driver/live/interface.h"

namespace netrx {

namespace {

constexpr Nanos kLookAgain = std::chrono::milliseconds(100);  // for an interface that is gone
constexpr Nanos kHungry = std::chrono::microseconds(100);     // for frames that come home

}  // namespace

// -- receive

XdpRxQueue::XdpRxQueue(XdpSocket& socket, unsigned interface_index, FrameLimit& limit)
    : LiveRxQueue(socket.fd(), limit),
      socket_(socket),
      interface_index_(interface_index),
      home_(socket.request().rx_frames) {
  free_.reserve(socket.request().rx_frames);
  for (std::uint32_t id = 0; id < socket.request().rx_frames; ++id) free_.push_back(id);
  refill();
}

bool XdpRxQueue::frames_wait() const {
  return __atomic_load_n(socket_.rx.producer, __ATOMIC_ACQUIRE) !=
         __atomic_load_n(socket_.rx.consumer, __ATOMIC_RELAXED);
}

bool XdpRxQueue::something_waits(Nanos now) const {
  if (frames_wait()) return true;
  const bool hungry = with_kernel_.load(std::memory_order_relaxed) < socket_.request().rx_frames / 2;
  if (hungry && home_.any()) return true;
  return now.count() - looked_.load(std::memory_order_relaxed) >= kLookAgain.count() &&
         interface_index(socket_.request().interface) != interface_index_;
}

Nanos XdpRxQueue::next_attention(Nanos now) {
  const Nanos next = LiveRxQueue::next_attention(now);
  if (next != kNever || exhausted()) return next;
  const bool hungry = with_kernel_.load(std::memory_order_relaxed) < socket_.request().rx_frames / 2;
  return now + (hungry ? kHungry : kLookAgain);
}

void XdpRxQueue::refill() {
  home_.collect(free_);
  const auto wanted = static_cast<std::uint32_t>(free_.size());
  const std::uint32_t n = std::min(wanted, xsk_prod_nb_free(&socket_.fill, wanted));
  std::uint32_t at = 0;
  if (n != 0 && xsk_ring_prod__reserve(&socket_.fill, n, &at) == n) {
    for (std::uint32_t i = 0; i < n; ++i) {
      *xsk_ring_prod__fill_addr(&socket_.fill, at + i) = std::uint64_t{free_.back()} * XdpSocket::kFrameSize;
      free_.pop_back();
    }
    xsk_ring_prod__submit(&socket_.fill, n);
    with_kernel_.store(with_kernel_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  if (xsk_ring_prod__needs_wakeup(&socket_.fill)) recvfrom(fd_, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
}

void XdpRxQueue::give_out(Packet& packet, const xdp_desc& descriptor) {
  const std::uint64_t address = xsk_umem__add_offset_to_addr(descriptor.addr);
  packet.frame_id = static_cast<std::uint32_t>(address / XdpSocket::kFrameSize);
  packet.frame_home = &home_;
  packet.head = socket_.frame(packet.frame_id);
  packet.data = packet.head + address % XdpSocket::kFrameSize;
  packet.buffer_size = XdpSocket::kFrameSize;
  packet.len = descriptor.len;
  packet.mac_header = static_cast<std::uint16_t>(packet.headroom());
  packet.rx_seq = rx_seq_++;
}

std::size_t XdpRxQueue::poll(PollContext& context, PacketBatch& batch, std::size_t budget) {
  const std::size_t wanted = allowance(batch, budget);
  if (wanted == 0) return 0;
  std::uint32_t at = 0;
  const auto here = static_cast<std::size_t>(xsk_ring_cons__peek(&socket_.rx, static_cast<std::uint32_t>(wanted), &at));
  const std::span<Packet*> packets = batch.extend(here);
  const std::size_t got = context.pool.alloc(packets);
  batch.truncate(batch.size() - (here - got));
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < got; ++i) {
    give_out(*packets[i], *xsk_ring_cons__rx_desc(&socket_.rx, at + static_cast<std::uint32_t>(i)));
    bytes += packets[i]->len;
  }
  if (got < here) xsk_ring_cons__cancel(&socket_.rx, static_cast<std::uint32_t>(here - got));
  if (got != 0) {
    xsk_ring_cons__release(&socket_.rx, static_cast<std::uint32_t>(got));
    with_kernel_.store(with_kernel_.load(std::memory_order_relaxed) - static_cast<std::uint32_t>(got),
                       std::memory_order_relaxed);
  }
  refill();
  polled(context.now, got, bytes, got < here);
  if (here < wanted) look_for_trouble(context.now);
  return got;
}

void XdpRxQueue::look_for_trouble(Nanos now) {
  const Nanos before{looked_.load(std::memory_order_relaxed)};
  if (now - before < kLookAgain && now >= before) return;
  looked_.store(now.count(), std::memory_order_relaxed);
  const std::uint64_t drops = socket_.drops();
  RxQueueStats::add(stats_.rx_missed_errors, drops - drops_);
  drops_ = drops;
  if (interface_index(socket_.request().interface) != interface_index_) end(ENODEV);
}

// -- transmit

XdpTxQueue::XdpTxQueue(XdpSocket& socket) : socket_(socket) {
  const XdpSocketRequest& request = socket.request();
  free_.reserve(request.tx_frames);
  for (std::uint32_t i = 0; i < request.tx_frames; ++i) free_.push_back(request.rx_frames + i);
}

void XdpTxQueue::collect_sent() {
  std::uint32_t at = 0;
  const std::uint32_t n = xsk_ring_cons__peek(&socket_.completion, socket_.request().tx_frames, &at);
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint64_t address = *xsk_ring_cons__comp_addr(&socket_.completion, at + i);
    free_.push_back(static_cast<std::uint32_t>(address / XdpSocket::kFrameSize));
  }
  if (n != 0) xsk_ring_cons__release(&socket_.completion, n);
}

/// False: the packet is longer than a frame.
bool XdpTxQueue::write(const Packet& packet, std::uint32_t id, std::uint32_t& size) {
  FrameExtras extras;
  std::array<iovec, kMostFramePieces> pieces;
  const std::size_t count = frame_pieces(packet, {.ethernet = true, .vnet_hdr = false}, extras, pieces);
  std::uint8_t* to = socket_.frame(id);
  size = 0;
  for (const iovec& piece : std::span(pieces).first(count)) {
    if (size + piece.iov_len > XdpSocket::kFrameSize) return false;
    std::memcpy(to + size, piece.iov_base, piece.iov_len);
    size += static_cast<std::uint32_t>(piece.iov_len);
  }
  return count != 0;
}

std::size_t XdpTxQueue::xmit(std::span<Packet* const> packets) {
  if (free_.size() < packets.size()) collect_sent();
  const std::size_t most = std::min(packets.size(), done_.room());
  std::size_t taken = 0;
  for (; taken < most && !free_.empty(); ++taken) {
    std::uint32_t size = 0, at = 0;
    if (!write(*packets[taken], free_.back(), size)) {
      RxQueueStats::add(stats_.tx_errors);
      continue;
    }
    if (xsk_ring_prod__reserve(&socket_.tx, 1, &at) != 1) break;
    *xsk_ring_prod__tx_desc(&socket_.tx, at) = {
        .addr = std::uint64_t{free_.back()} * XdpSocket::kFrameSize, .len = size, .options = 0};
    free_.pop_back();
    xsk_ring_prod__submit(&socket_.tx, 1);
    announced_ = false;
  }
  count_taken(stats_, packets.first(taken), packets.size());
  done_.add(packets.first(taken));
  return taken;
}

void XdpTxQueue::xmit_kick() {
  constexpr int kMostCalls = 64;  // the kernel sends some 32 packets a call where it copies
  if (announced_) return;
  announced_ = true;
  for (int i = 0; i < kMostCalls && xsk_ring_prod__needs_wakeup(&socket_.tx); ++i) {
    if (sendto(socket_.fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0) {
      if (__atomic_load_n(socket_.tx.consumer, __ATOMIC_ACQUIRE) == *socket_.tx.producer) break;
    } else if (errno != EAGAIN && errno != EBUSY) {
      break;  // down, gone, or out of memory: the frames wait in the ring
    }
  }
  collect_sent();
}

}  // namespace netrx
