// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "virtio/chain_builder.h"

namespace netrx::virtio {

/// The device's half of a split ring. Kernel: vhost_get_vq_desc, vhost_add_used_n, vhost_notify.
template <class Shared>
class BasicSplitDevice final : public DeviceRing {
 public:
  BasicSplitDevice(const RingSetup& setup, const RingMemory& memory, const GuestMemory& guest,
                   std::optional<std::uint32_t> base)
      : DeviceRing(setup, guest),
        table_(reinterpret_cast<SplitDescriptor*>(memory.descriptors)),
        avail_(memory.driver, setup.size),
        used_(memory.device, setup.size),
        last_avail_(static_cast<std::uint16_t>(base.value_or(0))),
        used_idx_(Shared::load(used_.idx())),
        shown_(used_idx_) {}

  bool take(Chain& chain) override {
    if (fault() != RingFault::none) return false;
    const auto ready = static_cast<std::uint16_t>(Shared::load_acquire(avail_.idx()) - last_avail_);
    if (ready == 0) return false;
    if (ready > setup_.size) return broken(RingFault::avail_index_jump);
    const std::uint16_t head = Shared::load(avail_.slot(last_avail_));
    if (head >= setup_.size) return broken(RingFault::head_range);
    if (const RingFault why = walk(head, chain); why != RingFault::none) return broken(why);
    chain.id = head;
    chain.slots = 1;
    ++last_avail_;
    return true;
  }

  Mark mark() const override { return {last_avail_, false}; }
  void rewind(Mark mark) override { last_avail_ = mark.at; }

  void complete(const ChainId& chain, std::uint32_t written) override {
    Shared::store(used_.id(used_idx_), std::uint32_t{chain.id});
    Shared::store(used_.length(used_idx_), written);
    ++used_idx_;
  }

  bool call_prepare() override {
    if (fault() != RingFault::none) return false;
    Shared::store_release(used_.idx(), used_idx_);  // write barrier, then the index
    const std::uint16_t old = shown_;
    shown_ = used_idx_;
    Shared::fence();  // the index before the driver's wish is read
    if (setup_.event_idx) return need_event(Shared::load(avail_.used_event()), used_idx_, old);
    return used_idx_ != old && (Shared::load(avail_.flags()) & kNoInterrupt) == 0;
  }

  void disable_kicks() override {
    if (!setup_.event_idx) Shared::store(used_.flags(), kNoNotify);  // else the event stays behind
  }

  bool enable_kicks() override {
    if (setup_.event_idx)
      Shared::store(used_.avail_event(), last_avail_);
    else
      Shared::store(used_.flags(), std::uint16_t{0});
    Shared::fence();
    return has_available();
  }

  bool has_available() const override { return Shared::load_acquire(avail_.idx()) != last_avail_; }
  std::uint32_t base() const override { return last_avail_; }

 private:
  struct Read {
    std::uint64_t address;
    std::uint32_t length;
    std::uint16_t flags, next;
  };
  static Read read(const SplitDescriptor& from) {
    return {Shared::load(&from.address), Shared::load(&from.length), Shared::load(&from.flags),
            Shared::load(&from.next)};
  }

  RingFault walk(std::uint16_t head, Chain& chain) const {
    ChainBuilder builder(guest_, chain);
    std::uint16_t at = head;
    for (std::uint32_t n = 0; n < setup_.size; ++n) {
      const Read one = read(table_[at]);
      if ((one.flags & kIndirect) != 0) return indirect(one, builder);
      if (const RingFault why = builder.add(one.address, one.length, (one.flags & kWrite) != 0); why != RingFault::none)
        return why;
      if ((one.flags & kNext) == 0) return RingFault::none;
      at = one.next;
      if (at >= setup_.size) return RingFault::next_range;
    }
    return RingFault::chain_loop;
  }

  RingFault indirect(const Read& from, ChainBuilder& builder) const {
    if (!setup_.indirect) return RingFault::indirect_unknown;
    if ((from.flags & kNext) != 0) return RingFault::indirect_nested;
    const auto [table, size] = builder.template table<SplitDescriptor>(from.address, from.length);
    if (table == nullptr) return RingFault::indirect_size;
    std::uint32_t at = 0;
    for (std::uint32_t n = 0; n < size; ++n) {
      const Read one = read(table[at]);
      if ((one.flags & kIndirect) != 0) return RingFault::indirect_nested;
      if (const RingFault why = builder.add(one.address, one.length, (one.flags & kWrite) != 0); why != RingFault::none)
        return why;
      if ((one.flags & kNext) == 0) return RingFault::none;
      at = one.next;
      if (at >= size) return RingFault::next_range;
    }
    return RingFault::chain_loop;
  }

  SplitDescriptor* const table_;
  const AvailRing avail_;
  const UsedRing used_;
  std::uint16_t last_avail_;
  std::uint16_t used_idx_;  ///< completed
  std::uint16_t shown_;     ///< of those, shown
};

}  // namespace netrx::virtio
