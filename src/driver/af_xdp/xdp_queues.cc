// SPDX-License-Identifier: Apache-2.0
#include "driver/af_xdp/xdp_queues.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "driver/af_xdp/xdp_metadata.h"
#include "driver/live/frame_pieces.h"
#include "driver/live/interface.h"

namespace netrx {

namespace {

constexpr Nanos kHungry = std::chrono::microseconds(100);  // for frames that come home

}  // namespace

// -- receive

XdpRxQueue::XdpRxQueue(const XdpMemory& memory, XdpSocket& socket, bool metadata, LiveLife& life)
    : LiveRxQueue(socket.fd(), life),
      memory_(memory),
      frames_(socket.request().rx_frames),
      socket_(&socket),
      metadata_(metadata),
      home_(frames_),
      kernels_(frames_, 0) {
  free_.reserve(frames_);
  for (std::uint32_t id = 0; id < frames_; ++id) free_.push_back(id);
  refill();
}

void XdpRxQueue::suspend() {
  const std::lock_guard lock(mutex_);
  socket_ = nullptr;
  for (std::uint32_t id = 0; id < frames_; ++id)
    if (std::exchange(kernels_[id], 0) != 0) free_.push_back(id);
  with_kernel_.store(0, std::memory_order_relaxed);
}

void XdpRxQueue::resume_with(XdpSocket& socket, bool metadata) {
  const std::lock_guard lock(mutex_);
  socket_ = &socket;
  metadata_ = metadata;
  drops_ = 0;
  gone_ = false;
  refill();
  resume(socket.fd());
}

bool XdpRxQueue::frames_wait() const {
  return __atomic_load_n(socket_->rx.producer, __ATOMIC_ACQUIRE) !=
         __atomic_load_n(socket_->rx.consumer, __ATOMIC_RELAXED);
}

bool XdpRxQueue::hungry() const { return with_kernel_.load(std::memory_order_relaxed) < frames_ / 2; }

bool XdpRxQueue::something_waits(Nanos now) const { return frames_wait() || (hungry() && home_.any()) || gone(now); }

Nanos XdpRxQueue::next_attention(Nanos now) {
  const Nanos next = LiveRxQueue::next_attention(now);
  if (exhausted() || next < now + kLookAgain) return next;
  return now + (hungry() && !lost() ? kHungry : kLookAgain);
}

void XdpRxQueue::refill() {
  home_.collect(free_);
  const auto wanted = static_cast<std::uint32_t>(free_.size());
  const std::uint32_t n = std::min(wanted, xsk_prod_nb_free(&socket_->fill, wanted));
  std::uint32_t at = 0;
  if (n != 0 && xsk_ring_prod__reserve(&socket_->fill, n, &at) == n) {
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t id = free_.back();
      free_.pop_back();
      *xsk_ring_prod__fill_addr(&socket_->fill, at + i) = std::uint64_t{id} * XdpMemory::kFrameSize;
      kernels_[id] = 1;
    }
    xsk_ring_prod__submit(&socket_->fill, n);
    with_kernel_.store(with_kernel_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  if (xsk_ring_prod__needs_wakeup(&socket_->fill)) wake_kernel();
}

/// Has the kernel fill frames: it looks for some it was given, and with busy_poll runs the device's NAPI.
void XdpRxQueue::wake_kernel() { recvfrom(socket_->fd(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr); }

void XdpRxQueue::give_out(Packet& packet, const xdp_desc& descriptor) {
  const std::uint64_t address = xsk_umem__add_offset_to_addr(descriptor.addr);
  packet.frame_id = static_cast<std::uint32_t>(address / XdpMemory::kFrameSize);
  kernels_[packet.frame_id] = 0;
  packet.frame_home = &home_;
  packet.head = memory_.frame(packet.frame_id);
  packet.data = packet.head + address % XdpMemory::kFrameSize;
  packet.buffer_size = XdpMemory::kFrameSize;
  packet.len = descriptor.len;
  packet.mac_header = static_cast<std::uint16_t>(packet.headroom());
  packet.rx_seq = rx_seq_++;
  if (metadata_) read_xdp_metadata(packet);
}

std::size_t XdpRxQueue::receive(PollContext& context, PacketBatch& batch, std::size_t wanted) {
  std::uint32_t at = 0;
  xsk_ring_cons& rx = socket_->rx;
  const auto here = static_cast<std::size_t>(xsk_ring_cons__peek(&rx, static_cast<std::uint32_t>(wanted), &at));
  const std::span<Packet*> packets = batch.extend(here);
  const std::size_t got = context.pool.alloc(packets);
  batch.truncate(batch.size() - (here - got));
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < got; ++i) {
    give_out(*packets[i], *xsk_ring_cons__rx_desc(&rx, at + static_cast<std::uint32_t>(i)));
    bytes += packets[i]->len;
  }
  if (got < here) xsk_ring_cons__cancel(&rx, static_cast<std::uint32_t>(here - got));
  if (got != 0) {
    xsk_ring_cons__release(&rx, static_cast<std::uint32_t>(got));
    with_kernel_.store(with_kernel_.load(std::memory_order_relaxed) - static_cast<std::uint32_t>(got),
                       std::memory_order_relaxed);
  }
  refill();
  if (here == 0 && socket_->request().busy_poll) wake_kernel();
  polled(context.now, got, bytes, got < here);
  if (here < wanted) look_for_trouble(context.now);
  return got;
}

bool XdpRxQueue::gone(Nanos now) const {
  if (now - looked_ >= kLookAgain || now < looked_) {
    looked_ = now;
    gone_ = !socket_->bound();
  }
  return gone_;
}

void XdpRxQueue::look_for_trouble(Nanos now) {
  if (now - counted_ >= kLookAgain || now < counted_ || gone(now)) {
    counted_ = now;
    const std::uint64_t drops = socket_->drops();
    RxQueueStats::add(stats_.rx_missed_errors, drops - drops_);
    drops_ = drops;
  }
  // What came before it went is there by now.
  if (gone(now) && !frames_wait()) end(ENODEV);
}

// -- transmit

XdpTxQueue::XdpTxQueue(const XdpMemory& memory, XdpSocket& socket)
    : memory_(memory), first_(socket.request().rx_frames), frames_(socket.request().tx_frames), socket_(&socket) {
  free_.reserve(frames_);
  free_all();
}

void XdpTxQueue::free_all() {
  free_.clear();
  for (std::uint32_t i = 0; i < frames_; ++i) free_.push_back(first_ + i);
}

void XdpTxQueue::suspend() {
  const std::lock_guard lock(mutex_);
  if (socket_ == nullptr) return;
  const xsk_ring_prod& tx = socket_->tx;
  RxQueueStats::add(stats_.tx_errors, *tx.producer - __atomic_load_n(tx.consumer, __ATOMIC_ACQUIRE));
  socket_ = nullptr;
  announced_ = true;
  free_all();
}

void XdpTxQueue::resume_with(XdpSocket& socket) {
  const std::lock_guard lock(mutex_);
  socket_ = &socket;
}

void XdpTxQueue::collect_sent() {
  std::uint32_t at = 0;
  const std::uint32_t n = xsk_ring_cons__peek(&socket_->completion, frames_, &at);
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint64_t address = *xsk_ring_cons__comp_addr(&socket_->completion, at + i);
    free_.push_back(static_cast<std::uint32_t>(address / XdpMemory::kFrameSize));
  }
  if (n != 0) xsk_ring_cons__release(&socket_->completion, n);
}

/// False: the packet is longer than a frame.
bool XdpTxQueue::write(const Packet& packet, std::uint32_t id, std::uint32_t& size) {
  FrameExtras extras;
  std::array<iovec, kMostFramePieces> pieces;
  const std::size_t count = frame_pieces(packet, {.ethernet = true, .vnet_hdr = false}, extras, pieces);
  std::uint8_t* to = memory_.frame(id);
  size = 0;
  for (const iovec& piece : std::span(pieces).first(count)) {
    if (size + piece.iov_len > XdpMemory::kFrameSize) return false;
    std::memcpy(to + size, piece.iov_base, piece.iov_len);
    size += static_cast<std::uint32_t>(piece.iov_len);
  }
  return count != 0;
}

std::size_t XdpTxQueue::send(std::span<Packet* const> packets) {
  if (socket_ == nullptr) return 0;
  if (free_.size() < packets.size()) collect_sent();
  std::size_t taken = 0;
  for (; taken < packets.size() && !free_.empty(); ++taken) {
    std::uint32_t size = 0, at = 0;
    if (!write(*packets[taken], free_.back(), size)) {
      RxQueueStats::add(stats_.tx_errors);
      continue;
    }
    if (xsk_ring_prod__reserve(&socket_->tx, 1, &at) != 1) break;
    *xsk_ring_prod__tx_desc(&socket_->tx, at) = {
        .addr = std::uint64_t{free_.back()} * XdpMemory::kFrameSize, .len = size, .options = 0};
    free_.pop_back();
    xsk_ring_prod__submit(&socket_->tx, 1);
    announced_ = false;
  }
  return taken;
}

void XdpTxQueue::xmit_kick() {
  constexpr int kMostCalls = 64;  // the kernel sends some 32 packets a call where it copies
  const std::lock_guard lock(mutex_);
  if (announced_) return;
  announced_ = true;
  for (int i = 0; i < kMostCalls && xsk_ring_prod__needs_wakeup(&socket_->tx); ++i) {
    if (sendto(socket_->fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0) {
      if (__atomic_load_n(socket_->tx.consumer, __ATOMIC_ACQUIRE) == *socket_->tx.producer) break;
    } else if (errno != EAGAIN && errno != EBUSY) {
      break;  // down, gone, or out of memory: the frames wait in the ring
    }
  }
  collect_sent();
}

}  // namespace netrx
