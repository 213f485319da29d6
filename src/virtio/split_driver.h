// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "virtio/in_flight.h"
#include "virtio/shared_memory.h"

namespace netrx::virtio {

/// The driver's half of a split ring. Kernel: virtqueue_add_split and its kin.
template <class Shared>
class BasicSplitDriver final : public DriverRing {
 public:
  BasicSplitDriver(const RingSetup& setup, const RingMemory& memory)
      : DriverRing(setup),
        table_(reinterpret_cast<SplitDescriptor*>(memory.descriptors)),
        avail_(memory.driver, setup.size),
        used_(memory.device, setup.size),
        indirect_(reinterpret_cast<SplitDescriptor*>(memory.indirect)),
        indirect_address_(memory.indirect_address),
        ids_(setup.size, setup.in_order),
        written_(setup.size) {
    if (setup.event_idx)
      Shared::store(avail_.used_event(), std::uint16_t{0});
    else
      Shared::store(avail_.flags(), kNoInterrupt);
  }

  std::size_t post(std::span<const Posting> buffers, Direction direction) override {
    const bool writes = direction == Direction::device_writes;
    if (fault() != RingFault::none) return 0;
    const std::size_t n = std::min<std::size_t>(buffers.size(), free_);
    const std::uint16_t flags = writes ? kWrite : 0;
    std::array<std::uint16_t, InFlightTable::kSome> ids;
    for (std::size_t from = 0; from < n; from += ids.size()) {
      const std::span<const Posting> some = buffers.subspan(from, std::min(ids.size(), n - from));
      ids_.take_each(some, writes, ids);
      for (std::size_t i = 0; i < some.size(); ++i) describe(ids[i], {some[i].address, some[i].length}, flags, 0);
      const AvailRing avail = avail_;
      const auto at = static_cast<std::uint16_t>(avail_idx_ + from);
      for (std::size_t i = 0; i < some.size(); ++i)
        Shared::store(avail.slot(static_cast<std::uint16_t>(at + i)), ids[i]);
    }
    offered(n, n);
    return n;
  }

  bool add(std::span<const Buffer> readable, std::span<const Buffer> writable, std::uint32_t token) override {
    const std::size_t count = readable.size() + writable.size();
    const bool indirect = setup_.indirect && count > 1 && count <= setup_.max_chain;
    const std::size_t slots = indirect ? 1 : count;
    if (fault() != RingFault::none || count == 0 || free_ < slots) return false;
    std::uint32_t capacity = 0;
    for (const Buffer& buffer : writable) capacity += buffer.length;
    const auto taken = static_cast<std::uint16_t>(slots);
    const std::uint16_t head = ids_.take(taken, taken, token, capacity);
    if (indirect) {
      SplitDescriptor* table = indirect_ + std::size_t{head} * setup_.max_chain;
      std::uint16_t at = 0;
      write_chain(readable, writable, [&](const Buffer& buffer, std::uint16_t flags) {
        const std::uint16_t here = at++;
        write(table[here], buffer, flags, at);
      });
      const std::uint64_t address =
          indirect_address_ + std::uint64_t{head} * setup_.max_chain * sizeof(SplitDescriptor);
      describe(head, {address, static_cast<std::uint32_t>(count * sizeof(SplitDescriptor))}, kIndirect, 0);
    } else {
      std::uint16_t at = head;
      write_chain(readable, writable, [&](const Buffer& buffer, std::uint16_t flags) {
        const std::uint16_t here = at;
        at = ids_.next(at);
        describe(here, buffer, flags, at);
      });
    }
    Shared::store(avail_.slot(avail_idx_), head);
    offered(1, taken);
    return true;
  }

  bool kick_prepare() override {
    if (fault() != RingFault::none) return false;
    Shared::store_release(avail_.idx(), avail_idx_);  // write barrier, then the index
    const std::uint16_t old = shown_;
    shown_ = avail_idx_;
    Shared::fence();  // the index before the device's wish is read
    if (setup_.event_idx) return need_event(Shared::load(used_.avail_event()), avail_idx_, old);
    return avail_idx_ != old && (Shared::load(used_.flags()) & kNoNotify) == 0;
  }

  std::size_t get(std::span<UsedBuffer> used) override {
    if (fault() != RingFault::none) return 0;
    const auto ready = static_cast<std::uint16_t>(Shared::load_acquire(used_.idx()) - last_used());
    if (ready > in_flight_) return broken(RingFault::used_index_jump);
    const std::size_t n = setup_.in_order ? get_in_order(used, ready) : get_any_order(used, ready);
    if (n != 0 && callbacks_) {
      if (setup_.event_idx) Shared::store(avail_.used_event(), last_used());
      Shared::fence();  // the event before the next look at the index
    }
    return n;
  }

  void disable_cb() override {
    if (!callbacks_) return;
    callbacks_ = false;
    if (event_triggered_.load(std::memory_order_relaxed)) return;  // it won't interrupt again anyway
    if (setup_.event_idx)
      Shared::store(avail_.used_event(), std::uint16_t{0});  // parked
    else
      Shared::store(avail_.flags(), kNoInterrupt);
  }

  std::uint32_t enable_cb_prepare() override {
    enable();
    if (setup_.event_idx) Shared::store(avail_.used_event(), last_used());
    return last_used();
  }

  bool poll(std::uint32_t cookie) const override {
    if (fault() != RingFault::none) return false;
    Shared::fence();
    return Shared::load(used_.idx()) != static_cast<std::uint16_t>(cookie);
  }

  bool enable_cb_delayed() override {
    enable();
    if (fault() != RingFault::none) return true;
    const auto threshold = static_cast<std::uint16_t>(in_flight_ * 3 / 4);
    if (setup_.event_idx) Shared::store(avail_.used_event(), static_cast<std::uint16_t>(last_used() + threshold));
    Shared::fence();
    return static_cast<std::uint16_t>(Shared::load(used_.idx()) - last_used()) <= threshold;
  }

  bool has_used() const override { return Shared::load_acquire(used_.idx()) != last_used(); }

 private:
  std::uint16_t last_used() const { return last_used_.load(std::memory_order_relaxed); }

  std::size_t broken(RingFault why) {
    break_queue(why);
    return 0;
  }

  void enable() {
    event_triggered_.store(false, std::memory_order_relaxed);
    if (!callbacks_ && !setup_.event_idx) Shared::store(avail_.flags(), std::uint16_t{0});
    callbacks_ = true;
  }

  static void write(SplitDescriptor& to, const Buffer& buffer, std::uint16_t flags, std::uint16_t next) {
    Shared::store(&to.address, buffer.address);
    Shared::store(&to.length, buffer.length);
    Shared::store(&to.flags, flags);
    Shared::store(&to.next, next);
  }

  template <class Write>
  static void write_chain(std::span<const Buffer> readable, std::span<const Buffer> writable, Write write_one) {
    const std::size_t count = readable.size() + writable.size();
    for (std::size_t i = 0; i < count; ++i) {
      const bool writes = i >= readable.size();
      const Buffer& buffer = writes ? writable[i - readable.size()] : readable[i];
      const std::uint16_t next = i + 1 < count ? kNext : 0;
      write_one(buffer, static_cast<std::uint16_t>(next | (writes ? kWrite : 0)));
    }
  }

  /// A descriptor of the table, unless that is what stands there: its line then stays in the device's cache as in ours.
  void describe(std::uint16_t id, const Buffer& buffer, std::uint16_t flags, std::uint16_t next) {
    const Written fresh{buffer.address, buffer.length | std::uint64_t{flags} << 32 | std::uint64_t{next} << 48};
    if (written_[id] == fresh) return;
    written_[id] = fresh;
    write(table_[id], buffer, flags, next);
  }

  void offered(std::size_t chains, std::size_t descriptors) {
    avail_idx_ = static_cast<std::uint16_t>(avail_idx_ + chains);
    in_flight_ = static_cast<std::uint16_t>(in_flight_ + chains);
    free_ = static_cast<std::uint16_t>(free_ - descriptors);
  }

  void taken(std::uint16_t chains, std::uint16_t descriptors) {
    free_ = static_cast<std::uint16_t>(free_ + descriptors);
    in_flight_ = static_cast<std::uint16_t>(in_flight_ - chains);
    last_used_.store(static_cast<std::uint16_t>(last_used() + chains), std::memory_order_relaxed);
  }

  /// The used ring's first `ready` entries are the device's word, each for one chain. Each is read once, and judged as
  /// it was read.
  std::size_t get_any_order(std::span<UsedBuffer> used, std::uint16_t ready) {
    const auto n = static_cast<std::uint16_t>(std::min<std::size_t>(used.size(), ready));
    const std::uint16_t at = last_used();
    const UsedRing ring = used_;
    for (std::uint16_t i = 0; i < n; ++i) {
      const auto here = static_cast<std::uint16_t>(at + i);
      used[i].token = Shared::load(ring.id(here));
      used[i].length = Shared::load(ring.length(here));
    }
    const InFlightTable::Released released = ids_.release_each(used.first(n));
    if (released.ids != n) break_queue(ids_.judge(used[released.ids].token));
    taken(released.ids, released.slots);
    return released.ids;
  }

  /// One entry may stand for all chains up to its own.
  std::size_t get_in_order(std::span<UsedBuffer> used, std::uint16_t ready) {
    std::size_t n = 0;
    while (n < used.size() && n < ready && next_in_order(used[n], static_cast<std::uint16_t>(ready - n))) ++n;
    return n;
  }

  bool next_in_order(UsedBuffer& used, std::uint16_t ready) {
    if (batch_left_ == 0) {
      const std::uint16_t at = last_used();
      const std::uint32_t id = Shared::load(used_.id(at));
      batch_length_ = Shared::load(used_.length(at));
      if (const RingFault why = ids_.judge(id); why != RingFault::none) return broken(why) != 0;
      batch_id_ = static_cast<std::uint16_t>(id);
      batch_left_ = static_cast<std::uint16_t>(ids_.before(batch_id_) + 1);
      if (batch_left_ > ready) return broken(RingFault::used_order) != 0;
    }
    const bool last = --batch_left_ == 0;
    const std::uint16_t slots = ids_.release(last ? batch_id_ : ids_.oldest(), used);
    used.length = last ? batch_length_ : used.capacity;
    taken(1, slots);
    return true;
  }

  /// A descriptor's two words. Nothing is read back from the table, which the device can write.
  struct Written {
    std::uint64_t address = 0, rest = 0;
    bool operator==(const Written&) const = default;
  };

  SplitDescriptor* const table_;
  const AvailRing avail_;
  const UsedRing used_;
  SplitDescriptor* const indirect_;
  const std::uint64_t indirect_address_;
  InFlightTable ids_;
  std::vector<Written> written_;  ///< the table as we have written it
  std::uint16_t avail_idx_ = 0;   ///< added
  std::uint16_t shown_ = 0;       ///< of those, shown
  std::atomic<std::uint16_t> last_used_{0};
  bool callbacks_ = false;
  std::uint16_t batch_left_ = 0, batch_id_ = 0;
  std::uint32_t batch_length_ = 0;
};

}  // namespace netrx::virtio
