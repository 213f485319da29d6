// SPDX-License-Identifier: Apache-2.0
#include "netrx/packet_pool.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <type_traits>

#include "base/check.h"
#include "base/prefetch.h"
#include "host/large_pages.h"

namespace netrx {

namespace {
constexpr std::size_t kMaxPoolBytes = std::size_t{16} << 30;
constexpr std::size_t kSmallestFrame = 64;

/// Bytes from one packet's buffer to the next: whole cache lines.
constexpr std::size_t buffer_stride(std::size_t frame_size) {
  return (PacketPool::kHeadroom + frame_size + 63) & ~std::size_t{63};
}

}  // namespace

/// Packets on their way back, told of in the buffer of the first of them: the owner copies addresses and need not touch
/// the packets, each of which is in another CPU's cache, one by one before it needs them.
struct PacketPool::Returned {
  static constexpr std::size_t kMost = 22;

  Returned(std::span<Packet* const> some, Returned* older)
      : below(older), count(static_cast<std::uint32_t>(some.size())) {
    std::ranges::copy(some, packets.begin());
  }
  std::span<Packet* const> all() const { return {packets.data(), count}; }

  Returned* below;
  std::uint32_t count;
  std::array<Packet*, kMost> packets;
};

Result<std::unique_ptr<PacketPool>> PacketPool::create(std::uint16_t cpu, std::size_t count, std::size_t frame_size) {
  if (count < PacketBatch::kCapacity)
    return fail(EINVAL, "pool-packets " + std::to_string(count) + ": a CPU needs at least " +
                            std::to_string(PacketBatch::kCapacity) + " packets, one poll's worth");
  static_assert(sizeof(Returned) <= buffer_stride(kSmallestFrame), "every buffer has room for it");
  if (frame_size < kSmallestFrame)
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
      packets_(aligned_array<Packet>(count)),
      buffers_(aligned_array<std::uint8_t>(count * buffer_stride(frame_size))),
      free_(new Packet*[count]) {
  for (std::size_t i = 0; i < count; ++i) free_[count - 1 - i] = new (&packets_[i]) Packet;  // lowest address on top
  free_count_ = count;
  fresh_.alloc_cpu = cpu_;
  fresh_.buffer_size = static_cast<std::uint32_t>(buffer_stride(frame_size_));
}

PacketPool::~PacketPool() = default;

/// Memory for as many, which nobody has touched. A pool that goes round would miss in the TLB with every packet: a
/// buffer is as large as half a small page.
template <class T>
PacketPool::Array<T> PacketPool::aligned_array(std::size_t count) {
  static_assert(std::is_trivially_destructible_v<T>);
  void* const memory = ::operator new[](count * sizeof(T), std::align_val_t{kAlignment});
  ask_for_large_pages(memory, count * sizeof(T));
  return Array<T>(static_cast<T*>(memory));
}

std::uint8_t* PacketPool::buffer_of(const Packet& packet) const {
  return buffers_.get() + static_cast<std::size_t>(&packet - packets_.get()) * buffer_stride(frame_size_);
}

std::size_t PacketPool::alloc(std::span<Packet*> out) {
  if (free_count_ < out.size()) collect_returned();
  const std::size_t n = std::min(out.size(), free_count_);
  // A packet that was delivered elsewhere is in that CPU's cache: asking for its line early lets the transfers overlap.
  constexpr std::size_t kAhead = 16;
  const Packet fresh = fresh_;  // of which the compiler knows that no packet written to is it
  Packet* const* top = &free_[free_count_];
  for (std::size_t i = 1; i <= std::min(n, kAhead); ++i) prefetch_for_write(*(top - i));
  for (std::size_t i = 0; i < n; ++i) {
    Packet* packet = *--top;
    if (i + kAhead < n) prefetch_for_write(*(top - kAhead));
    *packet = fresh;  // whole: a few wide stores, none of which waits for the line
    packet->head = buffer_of(*packet);
    packet->data = packet->head + kHeadroom;
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

void PacketPool::give_back(std::span<Packet* const> packets) {
  Returned* last = nullptr;
  Returned* first = nullptr;
  while (!packets.empty()) {
    const std::span<Packet* const> some = packets.first(std::min(packets.size(), Returned::kMost));
    first = new (buffer_of(*some[0])) Returned(some, first);
    if (last == nullptr) last = first;
    packets = packets.subspan(some.size());
  }
  if (last == nullptr) return;
  last->below = returned_.load(std::memory_order_relaxed);
  while (!returned_.compare_exchange_weak(last->below, first, std::memory_order_release, std::memory_order_relaxed)) {
  }
}

// The owner takes the whole stack at once, so the ABA problem of popping single elements does not arise.
void PacketPool::collect_returned() {
  for (const Returned* some = returned_.exchange(nullptr, std::memory_order_acquire); some != nullptr;
       some = some->below)
    put(some->all());
}

std::size_t PacketPool::idle() const {
  std::size_t n = free_count_;
  for (const Returned* some = returned_.load(std::memory_order_acquire); some != nullptr; some = some->below)
    n += some->count;
  return n;
}

}  // namespace netrx
