// SPDX-License-Identifier: Apache-2.0
#include "virtio/tracked_ring.h"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "virtio/packed_driver.h"

namespace netrx::virtio {

namespace {

/// A chain that was in flight: entry `head` of the region, of `slots` descriptors.
struct Left {
  std::uint16_t head;
  std::uint16_t slots;
  std::uint64_t counter;
};

std::unexpected<Error> contradicts() {
  return fail(EINVAL, "the in-flight area says what no device leaves behind; start the driver anew");
}

/// Chains of the last device, as a ring of their own from which they can be taken again: the driver's has other chains
/// in their place by now.
class LeftRing {
 public:
  LeftRing(const RingSetup& setup, const RingMemory& memory)
      : block_((ring_layout(setup).bytes + 7) / 8),
        memory_(ring_memory(setup, reinterpret_cast<std::uint8_t*>(block_.data()), 0)),
        size_(setup.size) {
    if (setup.kind == RingKind::split) memory_.descriptors = memory.descriptors;
  }

  void add_head(std::uint16_t head) {
    const AvailRing avail(memory_.driver, size_);
    *avail.slot(count_++) = head;
    *avail.idx() = count_;
  }
  void add_descriptor(PackedDescriptor one) {
    one.rest.flags = static_cast<std::uint16_t>((one.rest.flags & ~(kPackedAvail | kPackedUsed)) | kPackedAvail);
    reinterpret_cast<PackedDescriptor*>(memory_.descriptors)[count_++] = one;
  }
  const RingMemory& memory() const { return memory_; }

 private:
  std::vector<std::uint64_t> block_;
  RingMemory memory_;
  const std::uint16_t size_;
  std::uint16_t count_ = 0;
};

/// What is written down of a split ring. Entries are heads.
class SplitLog {
 public:
  SplitLog(const RingSetup& setup, const RingMemory& memory, std::uint8_t* region)
      : region_(reinterpret_cast<SplitRegion*>(region)),
        states_(reinterpret_cast<SplitState*>(region + sizeof(SplitRegion))),
        used_(memory.device, setup.size),
        size_(setup.size) {}

  /// Finds what is left, oldest first, and where the ring goes on: `base`.
  Result<std::vector<Left>> recover(LeftRing& again, std::optional<std::uint32_t>& base) {
    const std::uint16_t used = SharedMemory::load(used_.idx());
    std::vector<Left> left;
    if (SharedMemory::load(&region_->version) == 0) {
      for (std::uint16_t i = 0; i < size_; ++i) SharedMemory::store(&states_[i].inflight, std::uint8_t{0});
      SharedMemory::store(&region_->desc_num, size_);
      SharedMemory::store(&region_->used_idx, used);
      SharedMemory::store_release(&region_->version, SplitRegion::kVersion);
      return left;
    }
    if (SharedMemory::load(&region_->version) != SplitRegion::kVersion ||
        SharedMemory::load(&region_->desc_num) != size_)
      return contradicts();
    end_last_batch(used);
    for (std::uint16_t i = 0; i < size_; ++i)
      if (SharedMemory::load(&states_[i].inflight) != 0)
        left.push_back({i, 1, SharedMemory::load(&states_[i].counter)});
    std::ranges::sort(left, {}, &Left::counter);
    for (const Left& one : left) again.add_head(one.head);
    if (!left.empty()) counter_ = left.back().counter + 1;
    base = static_cast<std::uint16_t>(used + left.size());
    return left;
  }

  bool room(std::uint16_t) const { return true; }
  std::uint16_t took(const ChainId& chain, DeviceRing::Mark) {
    SharedMemory::store(&states_[chain.id].counter, counter_++);
    SharedMemory::store_release(&states_[chain.id].inflight, std::uint8_t{1});
    return chain.id;
  }
  void untook(std::uint16_t head) { SharedMemory::store(&states_[head].inflight, std::uint8_t{0}); }

  void before_showing(std::span<const std::uint16_t> done, std::uint32_t) {
    for (const std::uint16_t head : done) {
      SharedMemory::store(&states_[head].next, last_batch_head_);
      SharedMemory::store_release(&region_->last_batch_head, last_batch_head_ = head);
    }
  }
  void after_showing(std::span<const std::uint16_t> done) {
    for (const std::uint16_t head : done) SharedMemory::store(&states_[head].inflight, std::uint8_t{0});
    SharedMemory::store_release(&region_->used_idx, SharedMemory::load(used_.idx()));
  }

 private:
  /// The last device showed a batch and went before it had written so.
  void end_last_batch(std::uint16_t used) {
    std::uint16_t head = SharedMemory::load(&region_->last_batch_head);
    auto batch = static_cast<std::uint16_t>(used - SharedMemory::load(&region_->used_idx));
    for (; batch > 0 && batch <= size_ && head < size_; --batch) {
      SharedMemory::store(&states_[head].inflight, std::uint8_t{0});
      head = SharedMemory::load(&states_[head].next);
    }
    SharedMemory::store(&region_->used_idx, used);
  }

  SplitRegion* const region_;
  SplitState* const states_;
  const UsedRing used_;
  const std::uint16_t size_;
  std::uint16_t last_batch_head_ = 0;
  std::uint64_t counter_ = 0;
};

/// What is written down of a packed ring. Entries are a list's; which are free is known here and not read back.
class PackedLog {
 public:
  PackedLog(const RingSetup& setup, const RingMemory& memory, std::uint8_t* region)
      : region_(reinterpret_cast<PackedRegion*>(region)),
        states_(reinterpret_cast<PackedState*>(region + sizeof(PackedRegion))),
        ring_(reinterpret_cast<PackedDescriptor*>(memory.descriptors)),
        size_(setup.size),
        next_(setup.size),
        last_(setup.size),
        slots_(setup.size) {}

  Result<std::vector<Left>> recover(LeftRing& again, std::optional<std::uint32_t>& base) {
    if (SharedMemory::load(&region_->version) == 0) return begin(base);
    if (SharedMemory::load(&region_->version) != PackedRegion::kVersion ||
        SharedMemory::load(&region_->desc_num) != size_)
      return contradicts();
    PackedPlace used{SharedMemory::load(&region_->old_used_idx), SharedMemory::load(&region_->old_used_wrap) != 0};
    const PackedPlace written{SharedMemory::load(&region_->used_idx), SharedMemory::load(&region_->used_wrap) != 0};
    std::uint16_t free = SharedMemory::load(&region_->old_free_head);
    if (used.at >= size_ || written.at >= size_) return contradicts();
    if (used.packed() != written.packed() && !used.is_avail(SharedMemory::load(&ring_[used.at].rest).flags)) {
      used = written;  // it had shown its last batch, and not written so yet
      free = SharedMemory::load(&region_->free_head);
    }
    std::vector<bool> seen(size_);
    for (std::uint16_t i = 0; i < size_; ++i) next_[i] = SharedMemory::load(&states_[i].next);
    free_count_ = 0;
    for (std::uint16_t at = free; at < size_ && !seen[at]; at = next_[at], ++free_count_) {
      seen[at] = true;
      SharedMemory::store(&states_[at].inflight, std::uint8_t{0});
    }
    auto left = find_left(seen);
    if (!left) return left;
    PackedPlace avail = used;
    for (const Left& one : *left) {
      add(again, one);
      for (std::uint16_t n = 0; n < one.slots; ++n, avail.advance(1, size_)) take_back(avail);
    }
    if (!left->empty()) counter_ = left->back().counter + 1;
    set_free(free);
    write_used(used);
    show_used();
    base = avail.packed() | std::uint32_t{used.packed()} << 16;
    return left;
  }

  /// A driver may show more than its ring holds, for as long as nothing is given back.
  bool room(std::uint16_t slots) const { return slots <= free_count_; }
  std::uint16_t took(const ChainId& chain, DeviceRing::Mark at) {
    PackedPlace place{at.at, at.wrap};
    const std::uint16_t head = free_;
    for (std::uint16_t n = 0; n < chain.slots; ++n) {
      const PackedRest rest = SharedMemory::load(&ring_[place.at].rest);
      PackedState& state = states_[free_];
      SharedMemory::store(&state.address, SharedMemory::load(&ring_[place.at].address));
      SharedMemory::store(&state.length, rest.length);
      SharedMemory::store(&state.id, rest.id);
      SharedMemory::store(&state.flags, rest.flags);
      last_[head] = free_;
      free_ = next_[free_];
      place.advance(1, size_);
    }
    slots_[head] = chain.slots;
    free_count_ = static_cast<std::uint16_t>(free_count_ - chain.slots);
    SharedMemory::store(&states_[head].last, last_[head]);
    SharedMemory::store(&states_[head].num, chain.slots);
    SharedMemory::store(&states_[head].counter, counter_++);
    SharedMemory::store(&region_->free_head, free_);
    SharedMemory::store_release(&states_[head].inflight, std::uint8_t{1});
    SharedMemory::store_release(&region_->old_free_head, free_);
    return head;
  }
  void untook(std::uint16_t head) {
    give_back(head);
    SharedMemory::store_release(&region_->old_free_head, free_);
    SharedMemory::store_release(&states_[head].inflight, std::uint8_t{0});
  }

  void before_showing(std::span<const std::uint16_t> done, std::uint32_t base) {
    for (const std::uint16_t head : done) give_back(head);
    write_used(PackedPlace::of(static_cast<std::uint16_t>(base >> 16)));
  }
  void after_showing(std::span<const std::uint16_t> done) {
    for (const std::uint16_t head : done) SharedMemory::store(&states_[head].inflight, std::uint8_t{0});
    show_used();
  }

 private:
  Result<std::vector<Left>> begin(std::optional<std::uint32_t> base) {
    for (std::uint16_t i = 0; i < size_; ++i) {
      next_[i] = static_cast<std::uint16_t>(i + 1);
      SharedMemory::store(&states_[i].next, next_[i]);
      SharedMemory::store(&states_[i].inflight, std::uint8_t{0});
    }
    set_free(0);
    free_count_ = size_;
    write_used(base ? PackedPlace::of(static_cast<std::uint16_t>(*base >> 16)) : PackedPlace{});
    show_used();
    SharedMemory::store(&region_->desc_num, size_);
    SharedMemory::store_release(&region_->version, PackedRegion::kVersion);
    return std::vector<Left>{};
  }

  /// Chains in flight, oldest first; no entry belongs to two of them or is free.
  Result<std::vector<Left>> find_left(std::vector<bool>& seen) {
    std::vector<Left> left;
    for (std::uint16_t i = 0; i < size_; ++i) {
      if (SharedMemory::load(&states_[i].inflight) == 0) continue;
      const Left one{i, SharedMemory::load(&states_[i].num), SharedMemory::load(&states_[i].counter)};
      std::uint16_t at = i;
      for (std::uint16_t n = 0; n < one.slots; ++n, at = next_[at]) {
        if (at >= size_ || seen[at]) return contradicts();
        seen[at] = true;
        last_[i] = at;
      }
      if (one.slots == 0) return contradicts();
      slots_[i] = one.slots;
      left.push_back(one);
    }
    if (std::ranges::find(seen, false) != seen.end()) return contradicts();
    std::ranges::sort(left, {}, &Left::counter);
    return left;
  }

  void add(LeftRing& again, const Left& one) const {
    std::uint16_t at = one.head;
    for (std::uint16_t n = 0; n < one.slots; ++n, at = next_[at]) {
      const PackedState& state = states_[at];
      again.add_descriptor(
          {SharedMemory::load(&state.address),
           {SharedMemory::load(&state.length), SharedMemory::load(&state.id), SharedMemory::load(&state.flags)}});
    }
  }

  /// The last device may have marked a slot as used behind one that it had not: the driver would believe it as soon as
  /// that one is shown.
  void take_back(const PackedPlace& place) { SharedMemory::store(&ring_[place.at].rest.flags, place.avail_flags()); }

  void give_back(std::uint16_t head) {
    const std::uint16_t last = last_[head];
    free_count_ = static_cast<std::uint16_t>(free_count_ + slots_[head]);
    SharedMemory::store(&states_[last].next, next_[last] = free_);
    SharedMemory::store_release(&region_->free_head, free_ = head);
  }
  void set_free(std::uint16_t head) {
    free_ = head;
    SharedMemory::store(&region_->free_head, head);
    SharedMemory::store(&region_->old_free_head, head);
  }
  void write_used(const PackedPlace& place) {
    used_ = place;
    SharedMemory::store(&region_->used_wrap, std::uint8_t{place.wrap});
    SharedMemory::store_release(&region_->used_idx, place.at);
  }
  void show_used() {
    SharedMemory::store_release(&region_->old_free_head, free_);
    SharedMemory::store(&region_->old_used_wrap, std::uint8_t{used_.wrap});
    SharedMemory::store_release(&region_->old_used_idx, used_.at);
  }

  PackedRegion* const region_;
  PackedState* const states_;
  PackedDescriptor* const ring_;
  const std::uint16_t size_;
  std::vector<std::uint16_t> next_;  ///< as in the region
  std::vector<std::uint16_t> last_;  ///< of a chain in flight, by head
  std::vector<std::uint16_t> slots_;
  std::uint16_t free_ = 0;
  std::uint16_t free_count_ = 0;
  PackedPlace used_;
  std::uint64_t counter_ = 0;
};

template <class Log>
class TrackedRing final : public DeviceRing {
 public:
  TrackedRing(const RingSetup& setup, const RingMemory& memory, const GuestMemory& guest, std::uint8_t* region)
      : DeviceRing(setup, guest), memory_(memory), left_ring_(setup, memory), log_(setup, memory, region) {
    taken_.reserve(setup.size);
    done_.reserve(setup.size);
  }

  Result<void> recover(std::optional<std::uint32_t> base) {
    auto left = log_.recover(left_ring_, base);
    if (!left) return std::unexpected(left.error());
    left_ = std::move(*left);
    auto ring = create(setup_, memory_, guest_, base);
    if (!ring) return std::unexpected(ring.error());
    ring_ = std::move(*ring);
    if (left_.empty()) return {};
    auto again = create(setup_, left_ring_.memory(), guest_);
    if (!again) return std::unexpected(again.error());
    again_ = std::move(*again);
    return {};
  }

  bool take(Chain& chain) override {
    const bool again = has_left();
    DeviceRing& from = again ? *again_ : *ring_;
    const Mark at = from.mark();
    if (fault() != RingFault::none) return false;
    if (!from.take(chain)) {
      if (from.fault() != RingFault::none) return broken(from.fault());
      return again && broken(RingFault::chain_length);  // fewer than the region promised
    }
    if (!again && !log_.room(chain.slots)) return broken(RingFault::avail_index_jump);
    if (first_ == taken_.size()) {
      taken_.clear();
      first_ = 0;
    }
    taken_.push_back({again ? left_[next_left_++].head : log_.took(chain, at), at, again});
    ++count_;
    return true;
  }

  Mark mark() const override { return {count_, false}; }
  void rewind(Mark mark) override {
    for (; count_ != mark.at; --count_) {
      const Taken one = taken_.back();
      taken_.pop_back();
      (one.again ? *again_ : *ring_).rewind(one.at);
      if (one.again)
        --next_left_;
      else
        log_.untook(one.entry);
    }
  }

  void complete(const ChainId& chain, std::uint32_t written) override {
    if (first_ != taken_.size()) done_.push_back(taken_[first_++].entry);  // what was never taken is not written down
    ring_->complete(chain, written);
  }
  bool call_prepare() override {
    if (fault() != RingFault::none) return false;
    log_.before_showing(done_, ring_->base());
    const bool wanted = ring_->call_prepare();
    log_.after_showing(done_);
    done_.clear();
    return wanted;
  }

  void disable_kicks() override { ring_->disable_kicks(); }
  bool enable_kicks() override { return ring_->enable_kicks() || has_left(); }
  bool has_available() const override { return has_left() || ring_->has_available(); }
  std::uint32_t base() const override { return ring_->base(); }

 private:
  struct Taken {
    std::uint16_t entry;  ///< of the region
    Mark at;
    bool again;
  };

  bool has_left() const { return next_left_ != left_.size(); }

  const RingMemory memory_;
  LeftRing left_ring_;
  Log log_;
  std::vector<Left> left_;
  std::size_t next_left_ = 0;
  std::unique_ptr<DeviceRing> ring_, again_;
  std::vector<Taken> taken_;  ///< from first_ on: not completed
  std::size_t first_ = 0;
  std::vector<std::uint16_t> done_;  ///< completed and not shown
  std::uint16_t count_ = 0;          ///< of chains taken, for marks
};

template <class Log>
Result<std::unique_ptr<DeviceRing>> make(const RingSetup& setup, const RingMemory& memory, const GuestMemory& guest,
                                         std::optional<std::uint32_t> base, std::uint8_t* region) {
  auto ring = std::make_unique<TrackedRing<Log>>(setup, memory, guest, region);
  if (const auto ok = ring->recover(base); !ok) return std::unexpected(ok.error());
  return ring;
}

}  // namespace

std::size_t in_flight_region_bytes(RingKind kind, std::uint32_t size) {
  const std::size_t n = size;
  const std::size_t bytes = kind == RingKind::packed ? sizeof(PackedRegion) + n * sizeof(PackedState)
                                                     : sizeof(SplitRegion) + n * sizeof(SplitState);
  return (bytes + 63) & ~std::size_t{63};
}

Result<std::unique_ptr<DeviceRing>> make_tracked_ring(const RingSetup& setup, const RingMemory& memory,
                                                      const GuestMemory& guest, std::optional<std::uint32_t> base,
                                                      std::uint8_t* region) {
  if (const auto plain = DeviceRing::create(setup, memory, guest, base); !plain) return std::unexpected(plain.error());
  return setup.kind == RingKind::packed ? make<PackedLog>(setup, memory, guest, base, region)
                                        : make<SplitLog>(setup, memory, guest, base, region);
}

}  // namespace netrx::virtio
