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
    const std::uint16_t head = take_one(taken_);
    for (std::uint16_t i = 1, last = head; i < links; ++i) last = entries_[last].next = take_one(taken_);
    entries_[head].give_away(token, capacity, links, slots);
    put_in_order({&head, 1});
    return head;
  }

  /// The same for buffers of one descriptor each, at most kSome: `ids` are theirs. The place in the queue of free ids
  /// is in a local, which the compiler need not write and read again with every entry.
  static constexpr std::size_t kSome = 64;
  void take_each(std::span<const Posting> buffers, bool writable, std::span<std::uint16_t> ids) {
    std::uint32_t taken = taken_;
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      ids[i] = take_one(taken);
      entries_[ids[i]].give_away(buffers[i].token, writable ? buffers[i].length : 0, 1, 1);
    }
    taken_ = taken;
    put_in_order(ids.first(buffers.size()));
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
    if (!order_.empty()) ++oldest_;
    return take_back(id, used, given_);
  }

  /// The same for many, each written in the place of its token, up to the first that is not in flight. Without
  /// in-order.
  struct Released {
    std::uint16_t ids, slots;
  };
  Released release_each(std::span<UsedBuffer> used) {
    std::uint32_t given = given_, slots = 0;
    std::size_t n = 0;
    for (; n < used.size() && judge(used[n].token) == RingFault::none; ++n)
      slots += take_back(static_cast<std::uint16_t>(used[n].token), used[n], given);
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

    /// All but `next`, which belongs to the chain.
    void give_away(std::uint32_t with, std::uint32_t bytes, std::uint16_t of_links, std::uint16_t of_slots) {
      token = with;
      capacity = bytes;
      links = of_links;
      slots = of_slots;
    }
  };
  // A queue of its own and no list through the entries: there, each id would be known only when the last one is.
  std::uint16_t take_one(std::uint32_t& taken) { return free_[taken++ & (free_.size() - 1)]; }
  void give_one(std::uint16_t id, std::uint32_t& given) { free_[given++ & (free_.size() - 1)] = id; }

  std::uint16_t take_back(std::uint16_t id, UsedBuffer& used, std::uint32_t& given) {
    Entry& entry = entries_[id];
    used.token = entry.token;
    used.capacity = entry.capacity;
    give_one(id, given);
    for (std::uint16_t i = 1, last = id; i < entry.links; ++i) give_one(last = entries_[last].next, given);
    const std::uint16_t slots = entry.slots;
    entry.slots = 0;
    return slots;
  }

  void put_in_order(std::span<const std::uint16_t> ids) {
    if (order_.empty()) return;
    for (const std::uint16_t id : ids) order_[newest_++ % order_.size()] = id;
  }

  std::vector<Entry> entries_;
  std::vector<std::uint16_t> free_;
  std::vector<std::uint16_t> order_;
  std::uint32_t taken_ = 0;  ///< from free_, as given_ to it
  std::uint32_t given_;
  std::uint32_t oldest_ = 0;
  std::uint32_t newest_ = 0;
};

}  // namespace netrx::virtio
