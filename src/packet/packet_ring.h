// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "base/check.h"
#include "base/ring_index.h"
#include "cpu/spin_lock.h"
#include "netrx/packet.h"

namespace netrx {

/// A bounded queue of packets with any number of producers and one consumer: a CPU's backlog, a socket's receive
/// queue.
///
/// The kernel keeps two linked lists per backlog, input_pkt_queue (anyone appends, under a lock) and process_queue
/// (the owner works on it), and moves the first to the end of the second in one splice. Here both are stretches of
/// one ring of pointers, and the kernel's counters are its indices:
///
///        head            taken             split              tail
///   ──────┼─────────────────┼─────────────────┼──────────────────┼──────
///         │ being delivered │  process_queue  │ input_pkt_queue  │
///
/// A splice is `split = tail`: no packet is touched, and the consumer takes the lock once per splice, not once per
/// packet. head and tail are free-running u32 (input_queue_head, input_queue_tail) and wrap.
///
/// Thread safety: tail and the slots behind it change under lock(); split changes under lock(), by the consumer;
/// taken is the consumer's; head is published by the consumer, with release, after the packets before it were fully
/// handed up, so who reads head() (acquire) and finds it at or past a packet's tail also finds its delivery done: the
/// guarantee RFS builds on. A producer overwrites a slot only once head has passed it.
template <template <class> class Atomic = std::atomic>
class BasicPacketRing {
 public:
  using Lock = BasicSpinLock<Atomic>;

  /// `capacity` is rounded up to a power of two, at most 2^30. `first` is the index of the first packet: the counters
  /// wrap at 2^32, and a ring that starts shortly before shows what happens then.
  explicit BasicPacketRing(std::uint32_t capacity, std::uint32_t first = 0)
      : mask_(round_up_pow2(std::max(capacity, 2u)) - 1),
        slots_(new Packet*[mask_ + 1u]),
        tail_(first),
        split_(first),
        head_seen_(first),
        head_(first),
        taken_(first) {}

  Lock& lock() NETRX_RETURN_CAPABILITY(lock_) { return lock_; }
  std::uint32_t capacity() const { return mask_ + 1; }

  // Any thread, without the lock: hints that may be stale.
  std::uint32_t input_len() const {
    return tail_.load(std::memory_order_relaxed) - split_.load(std::memory_order_relaxed);
  }
  std::uint32_t process_len() const {
    return split_.load(std::memory_order_relaxed) - taken_.load(std::memory_order_relaxed);
  }

  /// Packets ever removed and finished. Kernel: softnet_data.input_queue_head.
  std::uint32_t head() const { return head_.load(std::memory_order_acquire); }

  // Producers, under the lock.
  /// Packets ever accepted. Kernel: softnet_data.input_queue_tail.
  std::uint32_t tail() const NETRX_REQUIRES(lock_) { return tail_.load(std::memory_order_relaxed); }

  /// Free slots, at least `wanted` if there are that many. Reads the consumer's line only when the last look does
  /// not suffice.
  std::uint32_t room(std::uint32_t wanted) NETRX_REQUIRES(lock_) {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (capacity() - (tail - head_seen_) < wanted) head_seen_ = head();
    return capacity() - (tail - head_seen_);
  }

  /// Appends packets; the caller asked room() and there was enough.
  void append(std::span<Packet* const> packets) NETRX_REQUIRES(lock_) {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    const std::uint32_t at = tail & mask_;
    const std::size_t before_wrap = std::min<std::size_t>(packets.size(), capacity() - at);
    std::memcpy(&slots_[at], packets.data(), before_wrap * sizeof(Packet*));
    if (before_wrap < packets.size()) [[unlikely]]
      std::memcpy(&slots_[0], packets.data() + before_wrap, (packets.size() - before_wrap) * sizeof(Packet*));
    tail_.store(tail + static_cast<std::uint32_t>(packets.size()), std::memory_order_relaxed);
  }

  // The consumer.
  /// Makes all input work; returns how many packets that were. Kernel: skb_queue_splice_tail_init.
  std::uint32_t splice() NETRX_REQUIRES(lock_) {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    const std::uint32_t moved = tail - split_.load(std::memory_order_relaxed);
    split_.store(tail, std::memory_order_relaxed);
    return moved;
  }

  /// Takes up to `max` packets from the front of the work, in order; fewer at the end of the ring's memory. The span
  /// stays valid until finish().
  std::span<Packet*> take(std::uint32_t max) {
    const std::uint32_t taken = taken_.load(std::memory_order_relaxed);
    const std::uint32_t at = taken & mask_;
    const std::uint32_t n = std::min({max, process_len(), capacity() - at});
    taken_.store(taken + n, std::memory_order_relaxed);
    return {&slots_[at], n};
  }

  /// Publishes that everything taken so far is finished.
  void finish() { head_.store(taken_.load(std::memory_order_relaxed), std::memory_order_release); }

  /// Packets taken and not finished yet.
  std::uint32_t unfinished() const {
    return taken_.load(std::memory_order_relaxed) - head_.load(std::memory_order_relaxed);
  }

  /// The consumer: calls `use(packet)` on every packet that has not been taken, oldest first.
  template <class Use>
  void for_each(Use use) NETRX_REQUIRES(lock_) {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    for (std::uint32_t i = taken_.load(std::memory_order_relaxed); i != tail; ++i) use(*slots_[i & mask_]);
  }

  /// The consumer, with nothing unfinished: calls `doomed(packet)` on every queued packet, newest first, forgets those
  /// it says true for (the caller has them now), closes the gaps and advances head by their number. The others keep
  /// their order and move towards the tail. As in the kernel, head so counts removed packets before older ones that
  /// stay: while those are queued, a flow of theirs may look drained.
  template <class Doomed>
  void remove_if(Doomed doomed) NETRX_REQUIRES(lock_) {
    NETRX_CHECK(unfinished() == 0);
    const std::uint32_t first = taken_.load(std::memory_order_relaxed);
    const std::uint32_t split = split_.load(std::memory_order_relaxed);
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    std::uint32_t write = tail;
    std::uint32_t new_split = tail;
    for (std::uint32_t read = tail; read != first;) {
      Packet* packet = slots_[--read & mask_];
      if (!doomed(*packet)) slots_[--write & mask_] = packet;
      if (read == split) new_split = write;
    }
    split_.store(new_split, std::memory_order_relaxed);
    taken_.store(write, std::memory_order_relaxed);
    head_.store(write, std::memory_order_release);
  }

 private:
  const std::uint32_t mask_;
  const std::unique_ptr<Packet*[]> slots_;

  alignas(64) Lock lock_;
  Atomic<std::uint32_t> tail_;
  Atomic<std::uint32_t> split_;
  std::uint32_t head_seen_ NETRX_GUARDED_BY(lock_);

  alignas(64) Atomic<std::uint32_t> head_;
  Atomic<std::uint32_t> taken_;
};

using PacketRing = BasicPacketRing<>;

}  // namespace netrx
