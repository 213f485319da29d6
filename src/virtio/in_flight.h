// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "netrx/virtqueue.h"

namespace netrx::virtio {

/// What a driver keeps to itself of the ids it has given the device: never read back from shared memory, so that the
/// device can't change it. Free ids go round first in, first out: where a device keeps the order, ids follow the ring,
/// as in-order queues need it. Kernel: desc_extra.
class InFlightTable {
 public:
  InFlightTable(std::uint16_t size, bool in_order) : entries_(size), order_(in_order ? size : 0) {
    for (std::uint16_t i = 0; i < size; ++i) entries_[i].next = static_cast<std::uint16_t>(i + 1);
    last_free_ = static_cast<std::uint16_t>(size - 1);
  }

  /// Takes `links` linked ids, of which the first names the chain; that many are free.
  std::uint16_t take(std::uint16_t links, std::uint16_t slots, std::uint32_t token, std::uint32_t capacity) {
    const std::uint16_t head = first_free_;
    std::uint16_t last = head;
    for (std::uint16_t i = 1; i < links; ++i) last = entries_[last].next;
    first_free_ = entries_[last].next;
    free_ -= links;
    Entry& entry = entries_[head];
    entry.token = token;
    entry.capacity = capacity;
    entry.links = links;
    entry.slots = slots;
    if (!order_.empty()) order_[newest_++ % order_.size()] = head;
    return head;
  }

  std::uint16_t next(std::uint16_t id) const { return entries_[id].next; }
  std::uint16_t free() const { return static_cast<std::uint16_t>(free_ + entries_.size()); }

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
    std::uint16_t last = id;
    for (std::uint16_t i = 1; i < entry.links; ++i) last = entries_[last].next;
    if (free() == 0)
      first_free_ = id;
    else
      entries_[last_free_].next = id;
    last_free_ = last;
    free_ += entry.links;
    if (!order_.empty()) ++oldest_;
    const std::uint16_t slots = entry.slots;
    entry.slots = 0;
    return slots;
  }

 private:
  struct Entry {
    std::uint32_t token = 0;
    std::uint32_t capacity = 0;
    std::uint16_t next = 0;
    std::uint16_t links = 0;
    std::uint16_t slots = 0;  ///< 0: not in flight
  };
  std::vector<Entry> entries_;
  std::vector<std::uint16_t> order_;
  std::uint16_t first_free_ = 0;
  std::uint16_t last_free_ = 0;
  int free_ = 0;  ///< less than all, by this much
  std::uint32_t oldest_ = 0;
  std::uint32_t newest_ = 0;
};

}  // namespace netrx::virtio
