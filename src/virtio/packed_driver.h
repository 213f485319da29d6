// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>

#include "virtio/in_flight.h"
#include "virtio/shared_memory.h"

namespace netrx::virtio {

/// A place in a packed ring with its wrap counter.
struct PackedPlace {
  std::uint16_t at = 0;
  bool wrap = true;

  void advance(std::uint32_t slots, std::uint16_t size) {
    const std::uint32_t to = at + slots;
    if (to >= size) wrap = !wrap;
    at = static_cast<std::uint16_t>(to >= size ? to - size : to);
  }
  std::uint16_t packed() const { return static_cast<std::uint16_t>(at | (wrap ? 1u << 15 : 0u)); }
  static PackedPlace of(std::uint16_t packed) {
    return {static_cast<std::uint16_t>(packed & 0x7fff), (packed & 0x8000) != 0};
  }
  std::uint16_t avail_flags() const { return wrap ? kPackedAvail : kPackedUsed; }
  std::uint16_t used_flags() const { return wrap ? kPackedAvail | kPackedUsed : 0; }
  bool is_avail(std::uint16_t flags) const { return (flags & (kPackedAvail | kPackedUsed)) == avail_flags(); }
  bool is_used(std::uint16_t flags) const { return (flags & (kPackedAvail | kPackedUsed)) == used_flags(); }
};

/// True when `events` asks to be told of going `moved` slots ahead to `now`. Kernel: virtqueue_kick_prepare_packed.
template <class Shared>
bool packed_event(const PackedEvent* events, const PackedPlace& now, std::uint32_t moved, const RingSetup& setup) {
  const std::uint16_t flags = Shared::load(&events->flags);
  if (flags != kEventAtDescriptor || !setup.event_idx) return moved != 0 && flags != kEventDisable;
  const PackedPlace place = PackedPlace::of(Shared::load(&events->off_wrap));
  const std::uint32_t event = place.wrap == now.wrap ? place.at : std::uint32_t{place.at} - setup.size;
  return need_event(static_cast<std::uint16_t>(event), now.at, static_cast<std::uint16_t>(now.at - moved));
}

/// The driver's half of a packed ring. Kernel: virtqueue_add_packed and its kin.
template <class Shared>
class BasicPackedDriver final : public DriverRing {
 public:
  BasicPackedDriver(const RingSetup& setup, const RingMemory& memory)
      : DriverRing(setup),
        ring_(reinterpret_cast<PackedDescriptor*>(memory.descriptors)),
        driver_event_(reinterpret_cast<PackedEvent*>(memory.driver)),
        device_event_(reinterpret_cast<PackedEvent*>(memory.device)),
        indirect_(reinterpret_cast<PackedDescriptor*>(memory.indirect)),
        indirect_address_(memory.indirect_address),
        ids_(setup.size, setup.in_order) {
    Shared::store(&driver_event_->flags, kEventDisable);
  }

  std::size_t post(std::span<const Posting> buffers, Direction direction) override {
    const bool writes = direction == Direction::device_writes;
    if (fault() != RingFault::none) return 0;
    const auto n = static_cast<std::uint16_t>(std::min<std::size_t>(buffers.size(), free_));
    PackedPlace place = next_;
    std::array<std::uint16_t, InFlightTable::kSome> ids;
    for (std::size_t from = 0; from < n; from += ids.size()) {
      const std::span<const Posting> some = buffers.subspan(from, std::min<std::size_t>(ids.size(), n - from));
      ids_.take_each(some, writes, ids);
      for (std::size_t i = 0; i < some.size(); ++i) {
        const std::uint16_t flags = place.avail_flags() | (writes ? kWrite : 0);
        show(ring_[place.at], {some[i].address, some[i].length}, ids[i], flags);
        place.advance(1, setup_.size);
      }
    }
    took(n, n);
    return n;
  }

  bool add(std::span<const Buffer> readable, std::span<const Buffer> writable, std::uint32_t token) override {
    const std::size_t count = readable.size() + writable.size();
    const bool indirect = setup_.indirect && count > 1 && count <= setup_.max_chain;
    const std::size_t slots = indirect ? 1 : count;
    if (fault() != RingFault::none || count == 0 || free_ < slots) return false;
    std::uint32_t capacity = 0;
    for (const Buffer& buffer : writable) capacity += buffer.length;
    const std::uint16_t id = ids_.take(1, static_cast<std::uint16_t>(slots), token, capacity);
    if (indirect)
      add_indirect(readable, writable, id);
    else
      add_direct(readable, writable, id);
    took(1, static_cast<std::uint16_t>(slots));
    return true;
  }

  bool kick_prepare() override {
    if (fault() != RingFault::none) return false;
    Shared::fence();  // the descriptors' flags before the device's wish is read
    const std::uint32_t moved = added_;
    added_ = 0;
    return packed_event<Shared>(device_event_, next_, moved, setup_);
  }

  std::size_t get(std::span<UsedBuffer> used) override {
    if (fault() != RingFault::none) return 0;
    const std::size_t n = setup_.in_order ? get_in_order(used) : get_any_order(used);
    if (n != 0 && callbacks_ && setup_.event_idx) {
      Shared::store(&driver_event_->off_wrap, last_used_.load(std::memory_order_relaxed));
      Shared::fence();  // the event before the next look at the flags
    }
    return n;
  }

  void disable_cb() override {
    if (!callbacks_) return;
    callbacks_ = false;
    if (event_triggered_.load(std::memory_order_relaxed)) return;  // it won't interrupt again anyway
    Shared::store(&driver_event_->flags, kEventDisable);
    masked_ = true;
  }

  std::uint32_t enable_cb_prepare() override {
    const std::uint16_t cookie = last_used_.load(std::memory_order_relaxed);
    enable(cookie);
    return cookie;
  }

  bool poll(std::uint32_t cookie) const override {
    if (fault() != RingFault::none) return false;
    Shared::fence();
    return used_at(PackedPlace::of(static_cast<std::uint16_t>(cookie)));
  }

  bool enable_cb_delayed() override {
    PackedPlace place = last_used();
    const auto ahead = static_cast<std::uint16_t>((setup_.size - free_) * 3 / 4);
    place.advance(ahead, setup_.size);
    enable(setup_.event_idx ? place.packed() : last_used().packed());
    if (fault() != RingFault::none) return true;
    Shared::fence();
    // Chains differ in length: only what the ring shows at the event, or here without one, can be judged.
    return !used_at(setup_.event_idx && ahead != 0 ? place : last_used());
  }

  bool has_used() const override { return used_at(last_used()); }

 private:
  static constexpr std::size_t kLookahead = 16;  ///< descriptors, four lines

  PackedPlace last_used() const { return PackedPlace::of(last_used_.load(std::memory_order_relaxed)); }
  bool used_at(const PackedPlace& place) const {
    return place.is_used(Shared::load_acquire(&ring_[place.at].rest).flags);
  }

  void enable(std::uint16_t off_wrap) {
    event_triggered_.store(false, std::memory_order_relaxed);
    if (setup_.event_idx) Shared::store(&driver_event_->off_wrap, off_wrap);
    // Write barrier: the place before the wish. Also where the wish stands, a device may still go by an old place.
    if (masked_) Shared::store_release(&driver_event_->flags, setup_.event_idx ? kEventAtDescriptor : kEventEnable);
    masked_ = false;
    callbacks_ = true;
  }

  static void write(PackedDescriptor& to, const Buffer& buffer, std::uint16_t id, std::uint16_t flags) {
    Shared::store(&to.address, buffer.address);
    Shared::store(&to.rest, PackedRest{buffer.length, id, flags});
  }
  /// The same for the first of a chain: write barrier, then the flags, with which the device has the chain.
  static void show(PackedDescriptor& to, const Buffer& buffer, std::uint16_t id, std::uint16_t flags) {
    Shared::store(&to.address, buffer.address);
    Shared::store_release(&to.rest, PackedRest{buffer.length, id, flags});
  }

  void took(std::uint16_t chains, std::uint16_t slots) {
    next_.advance(slots, setup_.size);
    added_ += slots;
    in_flight_ = static_cast<std::uint16_t>(in_flight_ + chains);
    free_ = static_cast<std::uint16_t>(free_ - slots);
  }

  void add_direct(std::span<const Buffer> readable, std::span<const Buffer> writable, std::uint16_t id) {
    const std::size_t count = readable.size() + writable.size();
    const auto one = [&](std::size_t i) { return i < readable.size() ? readable[i] : writable[i - readable.size()]; };
    const auto flags = [&](std::size_t i, const PackedPlace& place) {
      const bool writes = i >= readable.size();
      return static_cast<std::uint16_t>(place.avail_flags() | (i + 1 < count ? kNext : 0) | (writes ? kWrite : 0));
    };
    PackedPlace place = next_;
    for (std::size_t i = 1; i < count; ++i) {
      place.advance(1, setup_.size);
      write(ring_[place.at], one(i), id, flags(i, place));
    }
    show(ring_[next_.at], one(0), id, flags(0, next_));
  }

  void add_indirect(std::span<const Buffer> readable, std::span<const Buffer> writable, std::uint16_t id) {
    const std::size_t count = readable.size() + writable.size();
    const std::size_t first = std::size_t{id} * setup_.max_chain;
    for (std::size_t i = 0; i < count; ++i) {
      const bool writes = i >= readable.size();
      write(indirect_[first + i], writes ? writable[i - readable.size()] : readable[i], 0,
            writes ? kWrite : std::uint16_t{0});
    }
    const std::uint64_t address = indirect_address_ + first * sizeof(PackedDescriptor);
    const std::uint16_t flags = next_.avail_flags() | kIndirect;
    show(ring_[next_.at], {address, static_cast<std::uint32_t>(count * sizeof(PackedDescriptor))}, id, flags);
  }

  void taken(std::size_t chains, std::uint16_t slots, const PackedPlace& place) {
    free_ = static_cast<std::uint16_t>(free_ + slots);
    in_flight_ = static_cast<std::uint16_t>(in_flight_ - chains);
    last_used_.store(place.packed(), std::memory_order_relaxed);
  }

  /// False: the ring is broken.
  bool believe(std::uint16_t id) {
    const RingFault why = ids_.judge(id);
    if (why != RingFault::none) break_queue(why);
    return why == RingFault::none;
  }

  std::size_t get_any_order(std::span<UsedBuffer> used) {
    PackedPlace place = last_used();
    std::uint16_t all_slots = 0;
    std::size_t got = 0;
    for (; got < used.size(); ++got) {
      // Where the next one lies is known only when this one was looked up.
      __builtin_prefetch(&ring_[place.at] + kLookahead);
      const PackedRest one = Shared::load_acquire(&ring_[place.at].rest);
      if (!place.is_used(one.flags) || !believe(one.id)) break;
      const std::uint16_t slots = ids_.release(one.id, used[got]);
      used[got].length = one.length;
      place.advance(slots, setup_.size);
      all_slots = static_cast<std::uint16_t>(all_slots + slots);
    }
    taken(got, all_slots, place);
    return got;
  }

  /// One used descriptor may stand for all chains up to its own.
  std::size_t get_in_order(std::span<UsedBuffer> used) {
    std::size_t n = 0;
    while (n < used.size() && next_in_order(used[n])) ++n;
    return n;
  }

  bool next_in_order(UsedBuffer& used) {
    PackedPlace place = last_used();
    if (batch_left_ == 0) {
      const PackedRest one = Shared::load_acquire(&ring_[place.at].rest);
      if (!place.is_used(one.flags) || !believe(one.id)) return false;
      batch_id_ = one.id;
      batch_length_ = one.length;
      batch_left_ = static_cast<std::uint16_t>(ids_.before(one.id) + 1);
    }
    const bool last = --batch_left_ == 0;
    const std::uint16_t slots = ids_.release(last ? batch_id_ : ids_.oldest(), used);
    used.length = last ? batch_length_ : used.capacity;
    place.advance(slots, setup_.size);
    taken(1, slots, place);
    return true;
  }

  PackedDescriptor* const ring_;
  PackedEvent* const driver_event_;
  const PackedEvent* const device_event_;
  PackedDescriptor* const indirect_;
  const std::uint64_t indirect_address_;
  InFlightTable ids_;
  PackedPlace next_;
  std::uint32_t added_ = 0;  ///< slots, since the last kick_prepare()
  std::atomic<std::uint16_t> last_used_{1u << 15};
  bool callbacks_ = false;
  bool masked_ = true;  ///< as the device sees it
  std::uint16_t batch_left_ = 0, batch_id_ = 0;
  std::uint32_t batch_length_ = 0;
};

}  // namespace netrx::virtio
