// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "netrx/virtqueue.h"

namespace netrx::virtio {

/// What a driver keeps to itself of the ids it has given the device: never read back from shared memory, so that the
/// device can't change it. Free ids go round first in, first out: where a device keeps the order, ids follow the ring,
/// as in-order queues need it. Kernel: desc_extra.
class InFlightTable {
 public:
  InFlightTable(std::uint16_t size, bool in_order)
      : entries_(size), free_(std::bit_ceil(std::size_t{size})), order_(in_order ? size : 0) {
    for (std::uint16_t i = 0; i < size; ++i) free_[i] = i;
    given_ = size;
  }

  /// Takes `links` linked ids, of which the first names the chain; that many are free.
  std::uint16_t take(std::uint16_t links, std::uint16_t slots, std::uint32_t token, std::uint32_t capacity) {
    const std::uint16_t head = take_one();
    for (std::uint16_t i = 1, last = head; i < links; ++i) last = entries_[last].next = take_one();
    Entry& entry = entries_[head];
    entry.token = token;
    entry.capacity = capacity;
    entry.links = links;
    entry.slots = slots;
    if (!order_.empty()) order_[newest_++ % order_.size()] = head;
    return head;
  }

  /// The same for at most kSome buffers of one descriptor each: `ids` are theirs, in order.
  static constexpr std::size_t kSome = 64;
  void take_each(std::span<const Posting> buffers, bool writable, std::uint16_t* ids) {
    Entry* const entries = entries_.data();
    const std::uint16_t* const free = free_.data();
    const auto mask = static_cast<std::uint32_t>(free_.size() - 1);
    std::uint32_t taken = taken_;
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      const std::uint16_t id = free[taken++ & mask];
      const std::uint32_t capacity = writable ? buffers[i].length : 0;
      entries[id] = {.token = buffers[i].token, .capacity = capacity, .links = 1, .slots = 1};
      ids[i] = id;
    }
    taken_ = taken;
    if (order_.empty()) return;
    for (std::size_t i = 0; i < buffers.size(); ++i) order_[newest_++ % order_.size()] = ids[i];
  }

  /// The id behind this one in its chain, if there is one.
  std::uint16_t next(std::uint16_t id) const { return entries_[id].next; }

  RingFault judge(std::uint32_t id) const {
    if (id >= entries_.size()) return RingFault::used_id_range;
    return entries_[id].slots == 0 ? RingFault::used_id_idle : RingFault::none;
  }

  /// The id that has been in flight longest; with in-order only.
  std::uint16_t oldest() const { return order_[oldest_ % order_.size()]; }
  /// How many ids are in flight before this one; with in-order only, and it is in flight.
  std::uint16_t before(std::uint16_t id) const {
    std::uint16_t n = 0;
    while (order_[(oldest_ + n) % order_.size()] != id) ++n;
    return n;
  }

  /// Takes an id in flight back; returns the ring's slots it took.
  std::uint16_t release(std::uint16_t id, UsedBuffer& used) {
    Entry& entry = entries_[id];
    used.token = entry.token;
    used.capacity = entry.capacity;
    give_one(id);
    for (std::uint16_t i = 1, last = id; i < entry.links; ++i) give_one(last = entries_[last].next);
    if (!order_.empty()) ++oldest_;
    const std::uint16_t slots = entry.slots;
    entry.slots = 0;
    return slots;
  }

  /// Takes back ids, each written in the place of its token, up to the first that is not in flight. Without in-order.
  struct Released {
    std::uint16_t ids, slots;
  };
  Released release_each(std::span<UsedBuffer> used) {
    Entry* const entries = entries_.data();
    const auto size = static_cast<std::uint32_t>(entries_.size());
    std::uint16_t* const free = free_.data();
    const auto mask = static_cast<std::uint32_t>(free_.size() - 1);
    std::uint32_t given = given_, slots = 0;
    std::size_t n = 0;
    for (; n < used.size(); ++n) {
      const std::uint32_t id = used[n].token;
      if (id >= size || entries[id].slots == 0) break;
      Entry& entry = entries[id];
      used[n].token = entry.token;
      used[n].capacity = entry.capacity;
      free[given++ & mask] = static_cast<std::uint16_t>(id);
      for (std::uint16_t i = 1, last = static_cast<std::uint16_t>(id); i < entry.links; ++i)
        free[given++ & mask] = last = entries[last].next;
      slots += entry.slots;
      entry.slots = 0;
    }
    given_ = given;
    return {static_cast<std::uint16_t>(n), static_cast<std::uint16_t>(slots)};
  }

 private:
  struct Entry {
    std::uint32_t token = 0;
    std::uint32_t capacity = 0;
    std::uint16_t next = 0;
    std::uint16_t links = 0;
    std::uint16_t slots = 0;  ///< 0: not in flight
  };
  // A queue of its own and no list through the entries: there, each id would be known only when the last one is.
  std::uint16_t take_one() { return free_[taken_++ & (free_.size() - 1)]; }
  void give_one(std::uint16_t id) { free_[given_++ & (free_.size() - 1)] = id; }

  std::vector<Entry> entries_;
  std::vector<std::uint16_t> free_;
  std::vector<std::uint16_t> order_;
  std::uint32_t taken_ = 0;  ///< from free_, as given_ to it
  std::uint32_t given_;
  std::uint32_t oldest_ = 0;
  std::uint32_t newest_ = 0;
};

}  // namespace netrx::virtio
