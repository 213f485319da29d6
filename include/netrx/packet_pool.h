// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

#include "netrx/error.h"
#include "netrx/packet.h"

namespace netrx {

/// The packets of one CPU, a fixed number chosen at start, each with a buffer of its own. Kernel: napi_skb_cache and
/// the page-frag caches behind it.
///
/// Thread safety: alloc() and put() by the CPU that owns the pool; give_back() from anywhere. Packets given back become
/// allocatable when the owner next runs dry. Order: give_back's release pairs with the owner's acquire, so what a
/// foreign CPU did with a packet happens before its next use; a later give_back's exchange only continues the release
/// sequence of those below it.
class PacketPool {
 public:
  static constexpr std::uint32_t kHeadroom = 128;  ///< NET_SKB_PAD and room for an encapsulation header

  /// `count` packets with buffers of `frame_size` bytes behind the headroom.
  static Result<std::unique_ptr<PacketPool>> create(std::uint16_t cpu, std::size_t count, std::size_t frame_size);

  ~PacketPool();
  PacketPool(const PacketPool&) = delete;
  PacketPool& operator=(const PacketPool&) = delete;

  /// Fills the front of `out` with reset packets; returns how many (fewer when the pool is dry).
  std::size_t alloc(std::span<Packet*> out);

  /// Takes packets of this pool back; their lent frames have gone home before.
  void put(std::span<Packet* const> packets);

  /// Takes packets of this pool from any CPU; their lent frames have gone home before. Lock-free.
  void give_back(std::span<Packet* const> packets);

  std::uint16_t cpu() const { return cpu_; }  ///< whose it is: Packet::alloc_cpu of its packets
  std::size_t capacity() const { return count_; }
  /// Packets in the pool, wherever in it; exact only when nothing runs.
  std::size_t idle() const;
  std::size_t frame_size() const { return frame_size_; }

 private:
  struct Returned;
  struct FreeAligned {
    void operator()(void* memory) const { ::operator delete[](memory, std::align_val_t{kAlignment}); }
  };
  template <class T>
  using Array = std::unique_ptr<T[], FreeAligned>;
  /// A packet's two lines are of one pair, which hardware fetches together.
  static constexpr std::size_t kAlignment = 128;

  template <class T>
  static Array<T> aligned_array(std::size_t count);

  PacketPool(std::uint16_t cpu, std::size_t count, std::size_t frame_size);
  void collect_returned();
  std::uint8_t* buffer_of(const Packet& packet) const;

  const std::uint16_t cpu_;
  const std::size_t count_;
  const std::size_t frame_size_;
  Array<Packet> packets_;
  Array<std::uint8_t> buffers_;
  std::unique_ptr<Packet*[]> free_;  // a stack
  std::size_t free_count_ = 0;
  Packet fresh_;  ///< what a reset packet is, but for its buffer
  alignas(64) std::atomic<Returned*> returned_{nullptr};
};

}  // namespace netrx
