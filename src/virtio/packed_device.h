// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "virtio/chain_builder.h"
#include "virtio/packed_driver.h"

namespace netrx::virtio {

/// The device's half of a packed ring.
template <class Shared>
class BasicPackedDevice final : public DeviceRing {
 public:
  BasicPackedDevice(const RingSetup& setup, const RingMemory& memory, const GuestMemory& guest,
                    std::optional<std::uint32_t> base)
      : DeviceRing(setup, guest),
        ring_(reinterpret_cast<PackedDescriptor*>(memory.descriptors)),
        driver_event_(reinterpret_cast<PackedEvent*>(memory.driver)),
        device_event_(reinterpret_cast<PackedEvent*>(memory.device)) {
    if (!base) return;
    avail_ = within(PackedPlace::of(static_cast<std::uint16_t>(*base)));
    used_ = within(PackedPlace::of(static_cast<std::uint16_t>(*base >> 16)));
  }

  bool take(Chain& chain) override {
    if (fault() != RingFault::none || !has_available()) return false;
    ChainBuilder builder(guest_, chain);
    PackedPlace place = avail_;
    for (std::uint16_t n = 0;; ++n) {
      if (n == setup_.size) return broken(RingFault::chain_loop);
      const PackedDescriptor one = read(ring_[place.at]);
      place.advance(1, setup_.size);
      const std::uint16_t flags = one.rest.flags;
      const RingFault why = (flags & kIndirect) != 0 ? (n == 0 ? indirect(one, builder) : RingFault::indirect_nested)
                                                     : builder.add(one.address, one.rest.length, (flags & kWrite) != 0);
      if (why != RingFault::none) return broken(why);
      if ((flags & kNext) != 0 && (flags & kIndirect) == 0) continue;
      chain.id = one.rest.id;
      chain.slots = static_cast<std::uint16_t>(n + 1);
      avail_ = place;
      return true;
    }
  }

  Mark mark() const override { return {avail_.at, avail_.wrap}; }
  void rewind(Mark mark) override { avail_ = {mark.at, mark.wrap}; }

  void complete(const ChainId& chain, std::uint32_t written) override {
    const auto flags = static_cast<std::uint16_t>(used_.used_flags() | (chain.writable_bytes != 0 ? kWrite : 0));
    const PackedRest used{written, chain.id, flags};
    if (moved_ == 0) {
      first_at_ = used_.at;  // shown last, and with it all others
      first_ = used;
    } else {
      Shared::store(&ring_[used_.at].rest, used);
    }
    used_.advance(chain.slots, setup_.size);
    moved_ += chain.slots;
  }

  bool call_prepare() override {
    if (fault() != RingFault::none) return false;
    if (moved_ != 0)
      Shared::store_release(&ring_[first_at_].rest, first_);  // write barrier, then the first one's flags
    Shared::fence();                                          // the flags before the driver's wish is read
    const std::uint32_t moved = moved_;
    moved_ = 0;
    return packed_event<Shared>(driver_event_, used_, moved, setup_);
  }

  void disable_kicks() override { Shared::store(&device_event_->flags, kEventDisable); }

  bool enable_kicks() override {
    if (setup_.event_idx) Shared::store(&device_event_->off_wrap, avail_.packed());
    Shared::store_release(&device_event_->flags, setup_.event_idx ? kEventAtDescriptor : kEventEnable);
    Shared::fence();
    return has_available();
  }

  bool has_available() const override { return avail_.is_avail(Shared::load_acquire(&ring_[avail_.at].rest).flags); }

  std::uint32_t base() const override { return avail_.packed() | std::uint32_t{used_.packed()} << 16; }

 private:
  PackedPlace within(const PackedPlace& place) {
    if (place.at < setup_.size) return place;
    broken(RingFault::head_range);
    return {};
  }

  static PackedDescriptor read(const PackedDescriptor& from) {
    return {Shared::load(&from.address), Shared::load(&from.rest)};
  }

  RingFault indirect(const PackedDescriptor& from, ChainBuilder& builder) const {
    if (!setup_.indirect) return RingFault::indirect_unknown;
    if ((from.rest.flags & kNext) != 0) return RingFault::indirect_nested;
    const auto [table, size] = builder.template table<PackedDescriptor>(from.address, from.rest.length);
    if (table == nullptr) return RingFault::indirect_size;
    for (std::uint32_t n = 0; n < size; ++n) {
      const PackedDescriptor one = read(table[n]);
      const bool writable = (one.rest.flags & kWrite) != 0;
      if ((one.rest.flags & kIndirect) != 0) return RingFault::indirect_nested;
      if (const RingFault why = builder.add(one.address, one.rest.length, writable); why != RingFault::none) return why;
    }
    return RingFault::none;
  }

  PackedDescriptor* const ring_;
  const PackedEvent* const driver_event_;
  PackedEvent* const device_event_;
  PackedPlace avail_, used_;
  std::uint32_t moved_ = 0;  ///< slots completed since the last call_prepare()
  PackedRest first_{};
  std::uint16_t first_at_ = 0;
};

}  // namespace netrx::virtio
