// SPDX-License-Identifier: Apache-2.0
#include "netrx/packet_pool.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/check.h"
#include "base/prefetch.h"
#include "host/large_pages.h"

namespace netrx {

namespace {
constexpr std::size_t kMaxPoolBytes = std::size_t{16} << 30;

/// Bytes from one packet's buffer to the next: whole cache lines.
constexpr std::size_t buffer_stride(std::size_t frame_size) {
  return (PacketPool::kHeadroom + frame_size + 63) & ~std::size_t{63};
}

}  // namespace

Result<std::unique_ptr<PacketPool>> PacketPool::create(std::uint16_t cpu, std::size_t count, std::size_t frame_size) {
  if (count < PacketBatch::kCapacity)
    return fail(EINVAL, "pool-packets " + std::to_string(count) + ": a CPU needs at least " +
                            std::to_string(PacketBatch::kCapacity) + " packets, one poll's worth");
  if (frame_size < 64)
    return fail(EINVAL, "frame-size " + std::to_string(frame_size) + ": the smallest buffer is 64 bytes");
  if (count > kMaxPoolBytes / (frame_size + kHeadroom + sizeof(Packet)))
    return fail(ENOMEM, "pool-packets " + std::to_string(count) + " of " + std::to_string(frame_size) +
                            " bytes: more than 16 GiB for one CPU; ask for fewer or smaller ones");
  try {
    return std::unique_ptr<PacketPool>(new PacketPool(cpu, count, frame_size));
  } catch (const std::bad_alloc&) {
    return fail(ENOMEM, "pool-packets " + std::to_string(count) + " of " + std::to_string(frame_size) +
                            " bytes: not enough memory; ask for fewer or smaller ones");
  }
}

PacketPool::PacketPool(std::uint16_t cpu, std::size_t count, std::size_t frame_size)
    : cpu_(cpu),
      count_(count),
      frame_size_(frame_size),
      packets_(new Packet[count]),
      buffers_(new(std::align_val_t{64}) std::uint8_t[count * buffer_stride(frame_size)]),
      free_(new Packet*[count]) {
  // A pool that goes round would miss in the TLB with every packet: a buffer is as large as half a small page.
  ask_for_large_pages(buffers_.get(), count * buffer_stride(frame_size));
  for (std::size_t i = 0; i < count; ++i) {
    Packet& packet = packets_[i];
    packet.alloc_cpu = cpu_;
    free_[count - 1 - i] = &packet;  // lowest address on top
  }
  free_count_ = count;
}

PacketPool::~PacketPool() = default;

void PacketPool::reset(Packet& packet) const {
  packet.head = buffers_.get() + static_cast<std::size_t>(&packet - packets_.get()) * buffer_stride(frame_size_);
  packet.data = packet.head + kHeadroom;
  packet.dev = nullptr;
  packet.tstamp = Nanos{0};
  packet.len = packet.data_len = 0;
  packet.hash = 0;
  packet.protocol = packet.vlan_proto = Be16{};
  packet.vlan_tci = packet.queue_mapping = 0;
  packet.mac_header = packet.network_header = packet.transport_header = 0;
  packet.l4_hash = packet.sw_hash = packet.vlan_present = packet.encapsulation = packet.gro_held = packet.has_frags =
      false;
  packet.spare = 0;
  packet.ip_summed = IpSummed::none;
  packet.pkt_type = PacketKind::host;
  packet.csum_level = 0;
  packet.nr_frags = 0;
  packet.frags = nullptr;
  packet.frame_home = nullptr;
  packet.buffer_size = static_cast<std::uint32_t>(buffer_stride(frame_size_));
  packet.gso_type = 0;
  packet.gso_size = packet.gso_segs = 0;
}

std::size_t PacketPool::alloc(std::span<Packet*> out) {
  if (free_count_ < out.size()) collect_returned();
  const std::size_t n = out.size() < free_count_ ? out.size() : free_count_;
  // A packet that was delivered elsewhere is in that CPU's cache: asking for its line early lets the transfers overlap.
  constexpr std::size_t kAhead = 16;
  Packet* const* top = &free_[free_count_];
  for (std::size_t i = 1; i <= std::min(n, kAhead); ++i) prefetch_for_write(*(top - i));
  for (std::size_t i = 0; i < n; ++i) {
    Packet* packet = *--top;
    if (i + kAhead < n) prefetch_for_write(*(top - kAhead));
    reset(*packet);
    out[i] = packet;
  }
  free_count_ -= n;
  return n;
}

void PacketPool::put(std::span<Packet* const> packets) {
  NETRX_CHECK(free_count_ + packets.size() <= count_);
  std::memcpy(&free_[free_count_], packets.data(), packets.size_bytes());
  free_count_ += packets.size();
}

void PacketPool::give_back(Packet* first, Packet* last) {
  Packet* top = returned_.load(std::memory_order_relaxed);
  do {
    last->next = top;
  } while (!returned_.compare_exchange_weak(top, first, std::memory_order_release, std::memory_order_relaxed));
}

// The owner takes the whole stack at once, so the ABA problem of popping single elements does not arise.
void PacketPool::collect_returned() {
  for (Packet* packet = returned_.exchange(nullptr, std::memory_order_acquire); packet != nullptr;) {
    Packet* next = packet->next;
    put({&packet, 1});
    packet = next;
  }
}

std::size_t PacketPool::idle() const {
  std::size_t n = free_count_;
  for (const Packet* packet = returned_.load(std::memory_order_acquire); packet != nullptr; packet = packet->next) ++n;
  return n;
}

}  // namespace netrx
