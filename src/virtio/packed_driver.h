// SPDX-License-Identifier: Apache-2.0
#pragma once

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
    std::size_t n = 0;
    if (fault() != RingFault::none) return 0;
    for (; n < buffers.size() && free_ > 0; ++n) {
      const Posting& buffer = buffers[n];
      const std::uint16_t id = ids_.take(1, 1, buffer.token, writes ? buffer.length : 0);
      write(ring_[next_.at], {buffer.address, buffer.length}, id);
      const std::uint16_t flags = next_.avail_flags() | (writes ? kWrite : 0);
      Shared::store_release(&ring_[next_.at].flags, flags);
      took(1);
    }
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
    took(static_cast<std::uint16_t>(slots));
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
    std::size_t n = 0;
    while (n < used.size() && next_used(used[n])) ++n;
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
  PackedPlace last_used() const { return PackedPlace::of(last_used_.load(std::memory_order_relaxed)); }
  bool used_at(const PackedPlace& place) const { return place.is_used(Shared::load_acquire(&ring_[place.at].flags)); }

  void enable(std::uint16_t off_wrap) {
    event_triggered_.store(false, std::memory_order_relaxed);
    if (setup_.event_idx) Shared::store(&driver_event_->off_wrap, off_wrap);
    // Write barrier: the place before the wish. Also where the wish stands, a device may still go by an old place.
    if (masked_) Shared::store_release(&driver_event_->flags, setup_.event_idx ? kEventAtDescriptor : kEventEnable);
    masked_ = false;
    callbacks_ = true;
  }

  static void write(PackedDescriptor& to, const Buffer& buffer, std::uint16_t id) {
    Shared::store(&to.address, buffer.address);
    Shared::store(&to.length, buffer.length);
    Shared::store(&to.id, id);
  }

  void took(std::uint16_t slots) {
    next_.advance(slots, setup_.size);
    added_ += slots;
    ++in_flight_;
    free_ = static_cast<std::uint16_t>(free_ - slots);
  }

  void add_direct(std::span<const Buffer> readable, std::span<const Buffer> writable, std::uint16_t id) {
    const std::size_t count = readable.size() + writable.size();
    PackedPlace place = next_;
    std::uint16_t head_flags = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const bool writes = i >= readable.size();
      write(ring_[place.at], writes ? writable[i - readable.size()] : readable[i], id);
      const auto flags =
          static_cast<std::uint16_t>(place.avail_flags() | (i + 1 < count ? kNext : 0) | (writes ? kWrite : 0));
      if (i == 0)
        head_flags = flags;
      else
        Shared::store(&ring_[place.at].flags, flags);
      place.advance(1, setup_.size);
    }
    Shared::store_release(&ring_[next_.at].flags, head_flags);  // write barrier, then the head's flags
  }

  void add_indirect(std::span<const Buffer> readable, std::span<const Buffer> writable, std::uint16_t id) {
    const std::size_t count = readable.size() + writable.size();
    const std::size_t first = std::size_t{id} * setup_.max_chain;
    for (std::size_t i = 0; i < count; ++i) {
      const bool writes = i >= readable.size();
      write(indirect_[first + i], writes ? writable[i - readable.size()] : readable[i], 0);
      Shared::store(&indirect_[first + i].flags, writes ? kWrite : std::uint16_t{0});
    }
    const std::uint64_t address = indirect_address_ + first * sizeof(PackedDescriptor);
    write(ring_[next_.at], {address, static_cast<std::uint32_t>(count * sizeof(PackedDescriptor))}, id);
    const std::uint16_t flags = next_.avail_flags() | kIndirect;
    Shared::store_release(&ring_[next_.at].flags, flags);
  }

  bool next_used(UsedBuffer& used) {
    PackedPlace place = last_used();
    if (batch_left_ == 0) {
      if (!used_at(place)) return false;
      const std::uint16_t id = Shared::load(&ring_[place.at].id);
      batch_length_ = Shared::load(&ring_[place.at].length);
      if (const RingFault why = ids_.judge(id); why != RingFault::none) {
        break_queue(why);
        return false;
      }
      batch_id_ = id;
      batch_left_ = setup_.in_order ? static_cast<std::uint16_t>(ids_.before(id) + 1) : std::uint16_t{1};
    }
    const bool last = --batch_left_ == 0;
    const std::uint16_t slots = ids_.release(last ? batch_id_ : ids_.oldest(), used);
    used.length = last ? batch_length_ : used.capacity;
    place.advance(slots, setup_.size);
    last_used_.store(place.packed(), std::memory_order_relaxed);
    free_ = static_cast<std::uint16_t>(free_ + slots);
    --in_flight_;
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
