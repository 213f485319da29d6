// SPDX-License-Identifier: Apache-2.0
#include "netrx/virtqueue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "base/prng.h"
#include "virtio/ring_pair_test_support.h"
#include "virtio/shared_memory.h"

namespace netrx::virtio {
namespace {

/// What both ends should see, in sixty lines: queues of plain values.
struct Model {
  struct Entry {
    std::uint32_t token;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> readable, writable;
    std::uint32_t written = 0;
    Chain chain;
  };
  std::deque<Entry> added, shown, taken, completed, returned;
};

/// Random steps of both ends over one ring, each compared with the model.
class Walk {
 public:
  Walk(const RingSetup& setup, std::uint64_t seed) : setup_(setup), pair_(setup), prng_(seed) {}

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) step();
    EXPECT_EQ(pair_.driver->fault(), RingFault::none) << text(pair_.driver->fault());
    EXPECT_EQ(pair_.device->fault(), RingFault::none) << text(pair_.device->fault());
  }
  std::uint32_t added() const { return next_token_; }

 private:
  void step() {
    switch (prng_.below(9)) {
      case 0:
      case 1: return add();
      case 2: return kick();
      case 3:
      case 4: return take();
      case 5: return complete();
      case 6: return call();
      case 7: return get();
      default: return sleep_or_wake();
    }
  }

  std::pair<std::uint64_t, std::uint32_t> buffer() {
    const auto length = static_cast<std::uint32_t>(prng_.between(1, 100));
    return {pair_.memory.frames_address() + prng_.below(60000), length};
  }

  void add() {
    Model::Entry entry{.token = next_token_, .readable = {}, .writable = {}, .written = 0, .chain = {}};
    const std::size_t count = prng_.between(1, 5), readable = prng_.below(count + 1);
    std::vector<Buffer> buffers;
    for (std::size_t i = 0; i < count; ++i) {
      (i < readable ? entry.readable : entry.writable).push_back(buffer());
      const auto& [address, length] = (i < readable ? entry.readable : entry.writable).back();
      buffers.push_back({address, length});
    }
    const std::span<const Buffer> all(buffers);
    const std::uint16_t free = pair_.driver->free_descriptors();
    const std::size_t needed = setup_.indirect ? 1 : count;
    const bool ok = pair_.driver->add(all.first(readable), all.subspan(readable), next_token_);
    EXPECT_EQ(ok, free >= needed);
    EXPECT_EQ(pair_.driver->free_descriptors(), free - (ok ? needed : 0));
    if (!ok) return;
    ++next_token_;
    added_since_kick_ = true;
    model_.added.push_back(std::move(entry));
    EXPECT_EQ(pair_.driver->in_flight(), model_.added.size() + model_.shown.size() + model_.taken.size() +
                                             model_.completed.size() + model_.returned.size());
  }

  void kick() {
    const bool news = std::exchange(added_since_kick_, false);
    const bool wanted = pair_.driver->kick_prepare();
    if (news && device_sleeps_ && !model_.added.empty()) {
      EXPECT_TRUE(wanted) << "the device sleeps for ever";
    }
    if (!news) {
      EXPECT_FALSE(wanted && setup_.event_idx) << "nothing to tell";
    }
    if (wanted) device_sleeps_ = false;
    std::ranges::move(model_.added, std::back_inserter(model_.shown));
    model_.added.clear();
  }

  void take() {
    Model::Entry entry;
    // A packed ring shows a chain when it is added: the kick only tells.
    std::deque<Model::Entry>& from =
        setup_.kind == RingKind::packed && model_.shown.empty() ? model_.added : model_.shown;
    const DeviceRing::Mark mark = pair_.device->mark();
    ASSERT_EQ(pair_.device->take(entry.chain), !from.empty());
    if (from.empty()) return;
    device_sleeps_ = false;  // it looked by itself
    if (prng_.below(4) == 0) {
      pair_.device->rewind(mark);
      ASSERT_TRUE(pair_.device->take(entry.chain));
    }
    const Chain chain = entry.chain;
    entry = from.front();
    from.pop_front();
    entry.chain = chain;
    expect_segments(chain.to_read(), entry.readable);
    expect_segments(chain.to_write(), entry.writable);
    model_.taken.push_back(std::move(entry));
  }

  void expect_segments(std::span<const Segment> got, const std::vector<std::pair<std::uint64_t, std::uint32_t>>& want) {
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < want.size(); ++i) {
      EXPECT_EQ(got[i].data, pair_.memory.at(want[i].first));
      EXPECT_EQ(got[i].length, want[i].second);
    }
  }

  void complete() {
    if (model_.taken.empty()) return;
    const auto at = static_cast<std::ptrdiff_t>(setup_.in_order ? 0 : prng_.below(model_.taken.size()));
    Model::Entry entry = std::move(model_.taken[static_cast<std::size_t>(at)]);
    model_.taken.erase(model_.taken.begin() + at);
    entry.written = static_cast<std::uint32_t>(prng_.below(entry.chain.writable_bytes + 1));
    pair_.device->complete(entry.chain, entry.written);
    model_.completed.push_back(std::move(entry));
  }

  void call() {
    const bool news = !model_.completed.empty();
    const bool wanted = pair_.device->call_prepare();
    if (news && driver_sleeps_) {
      EXPECT_TRUE(wanted) << "the driver sleeps for ever";
    }
    if (wanted && prng_.below(2) == 0) pair_.driver->note_interrupt();
    if (wanted) driver_sleeps_ = false;
    std::ranges::move(model_.completed, std::back_inserter(model_.returned));
    model_.completed.clear();
  }

  void get() {
    std::vector<UsedBuffer> used(prng_.between(1, 7));
    const std::size_t got = pair_.driver->get(used);
    ASSERT_EQ(got, std::min(used.size(), model_.returned.size()));
    for (std::size_t i = 0; i < got; ++i) {
      const Model::Entry entry = std::move(model_.returned.front());
      model_.returned.pop_front();
      EXPECT_EQ(used[i].token, entry.token);
      EXPECT_EQ(used[i].length, entry.written);
      EXPECT_EQ(used[i].capacity, entry.chain.writable_bytes);
    }
  }

  /// Either end asks to be told, and sleeps if there is nothing; or wakes by itself and wants quiet.
  void sleep_or_wake() {
    switch (prng_.below(4)) {
      case 0: driver_sleeps_ = !pair_.driver->poll(pair_.driver->enable_cb_prepare()); break;
      case 1:
        pair_.driver->disable_cb();
        driver_sleeps_ = false;
        break;
      case 2: device_sleeps_ = !pair_.device->enable_kicks(); break;
      default: pair_.device->disable_kicks(); device_sleeps_ = false;
    }
    EXPECT_EQ(pair_.driver->has_used(), !model_.returned.empty());
    if (driver_sleeps_) {
      EXPECT_TRUE(model_.returned.empty());
    }
  }

  const RingSetup setup_;
  RingPair pair_;
  Prng prng_;
  Model model_;
  std::uint32_t next_token_ = 0;
  bool driver_sleeps_ = false, device_sleeps_ = false, added_since_kick_ = false;
};

class Rings : public testing::TestWithParam<RingSetup> {};

TEST_P(Rings, DoWhatQueuesOfValuesDo) {
  for (std::uint64_t seed = 1; seed <= 20 && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Walk(GetParam(), seed).run(1500);
  }
}

INSTANTIATE_TEST_SUITE_P(Setups, Rings, testing::ValuesIn(every_setup({1, 2, 3, 4, 5, 7, 8, 16, 33, 256, 1000})),
                         [](const auto& one) { return name_of(one.param); });

TEST(RingsProperty, GoOnBeyondTheIndicesWrap) {
  for (const RingSetup& setup : every_setup({4})) {
    if (setup.indirect) continue;
    Walk walk(setup, 5);
    walk.run(2'000'000);
    EXPECT_GT(walk.added(), 66'000u) << name_of(setup);
  }
}

TEST(Ring, RefusesSizesItsKindDoesNotKnow) {
  const RingSetup good{.size = 8};
  const TestMemory memory(good, 64);
  for (const RingSetup& bad : {RingSetup{.size = 0}, RingSetup{.size = 6}, RingSetup{.size = 40000},
                               RingSetup{.kind = RingKind::packed, .size = 0}}) {
    const auto ring = DriverRing::create(bad, memory.ring());
    ASSERT_FALSE(ring);
    EXPECT_EQ(ring.error().code, EINVAL);
    EXPECT_FALSE(DeviceRing::create(bad, memory.ring(), memory.guest()));
  }
}

TEST(Ring, LaysItsPartsOutAsTheSpecificationSays) {
  const RingLayout split = ring_layout({.size = 256});
  EXPECT_EQ(split.driver, 4096u);
  EXPECT_EQ(split.device, 4096u + 576);  // 4 + 512 + 2 in whole cache lines
  const RingParts parts = ring_parts({.size = 256});
  EXPECT_EQ(parts.driver, 4u + 2 * 256 + 2);
  EXPECT_EQ(parts.device, 4u + 8 * 256 + 2);
  EXPECT_EQ(ring_parts({.kind = RingKind::packed, .size = 3}).descriptors, 48u);
  EXPECT_EQ(ring_parts({.kind = RingKind::packed, .size = 3}).driver, 4u);
}

TEST(NeedEvent, IsTheKernelsFormula) {
  EXPECT_TRUE(need_event(0, 1, 0));
  EXPECT_FALSE(need_event(1, 1, 0));
  EXPECT_TRUE(need_event(0xffff, 3, 0xfffe));
  EXPECT_FALSE(need_event(3, 3, 0xfffe));
  EXPECT_FALSE(need_event(5, 5, 5));
}

/// Posts 4 writable buffers and shows them.
void post_four(RingPair& pair) {
  std::vector<Posting> buffers;
  for (std::uint32_t i = 0; i < 4; ++i) buffers.push_back({pair.memory.frames_address() + 256 * i, 256, i});
  EXPECT_EQ(pair.driver->post(buffers, Direction::device_writes), 4u);
  (void)pair.driver->kick_prepare();
}

RingFault fault_after_get(RingPair& pair) {
  std::array<UsedBuffer, 8> used;
  while (pair.driver->get(used) != 0) {
  }
  EXPECT_FALSE(pair.driver->kick_prepare() && pair.driver->fault() != RingFault::none);
  EXPECT_FALSE(pair.driver->poll(0x55) && pair.driver->fault() != RingFault::none);
  return pair.driver->fault();
}

TEST(BrokenDevice, SplitIsNamed) {
  const RingSetup setup{.size = 8};
  const auto with = [&](std::uint16_t idx, std::uint32_t id, RingFault want) {
    RingPair pair(setup);
    post_four(pair);
    const UsedRing used(pair.memory.ring().device, setup.size);
    for (std::uint16_t i = 0; i < 8; ++i) *used.id(i) = id;
    *used.idx() = idx;
    EXPECT_EQ(fault_after_get(pair), want) << text(want);
  };
  with(5, 0, RingFault::used_index_jump);
  with(0xffff, 0, RingFault::used_index_jump);
  with(1, 8, RingFault::used_id_range);
  with(1, 0xffffffff, RingFault::used_id_range);
  with(1, 7, RingFault::used_id_idle);
  with(2, 0, RingFault::used_id_idle);  // twice the same
}

TEST(BrokenDevice, PackedIsNamed) {
  const RingSetup setup{.kind = RingKind::packed, .size = 5};
  const auto with = [&](std::uint16_t id, int times, RingFault want) {
    RingPair pair(setup);
    post_four(pair);
    auto* ring = reinterpret_cast<PackedDescriptor*>(pair.memory.ring().descriptors);
    for (int i = 0; i < times; ++i) {
      ring[i].rest.id = id;
      ring[i].rest.flags = kPackedAvail | kPackedUsed;
    }
    EXPECT_EQ(fault_after_get(pair), want) << text(want);
  };
  with(5, 1, RingFault::used_id_range);
  with(0xffff, 1, RingFault::used_id_range);
  with(4, 1, RingFault::used_id_idle);
  with(2, 2, RingFault::used_id_idle);
}

TEST(BrokenDevice, SaysItWroteMoreThanThereWasRoomFor) {
  for (const RingKind kind : {RingKind::split, RingKind::packed}) {
    RingPair pair({.kind = kind, .size = 8});
    post_four(pair);
    Chain chain;
    ASSERT_TRUE(pair.device->take(chain));
    pair.device->complete(chain, 0xfffffff0);
    (void)pair.device->call_prepare();
    UsedBuffer used;
    ASSERT_EQ(pair.driver->get({&used, 1}), 1u);
    EXPECT_EQ(used.length, 0xfffffff0);
    EXPECT_EQ(used.capacity, 256u) << "for the user to judge by";
  }
}

TEST(SplitDriver, WritesADescriptorWhenItChangesAndNeverReadsIt) {
  RingPair pair({.size = 1});
  auto* table = reinterpret_cast<SplitDescriptor*>(pair.memory.ring().descriptors);
  const auto round = [&](std::uint32_t length) {
    const Posting buffer{pair.memory.frames_address(), length, 5};
    ASSERT_EQ(pair.driver->post({&buffer, 1}, Direction::device_writes), 1u);
    (void)pair.driver->kick_prepare();
    const UsedRing used(pair.memory.ring().device, 1);
    *used.id(0) = 0;
    *used.idx() = static_cast<std::uint16_t>(*used.idx() + 1);
    UsedBuffer got;
    ASSERT_EQ(pair.driver->get({&got, 1}), 1u);
    EXPECT_EQ(got.token, 5u);
    EXPECT_EQ(got.capacity, length) << "of the driver's own note";
  };
  round(256);
  EXPECT_EQ(table[0].length, 256u);
  table[0].length = 1u << 30;  // the device's doing, and its own loss
  round(256);
  EXPECT_EQ(table[0].length, 1u << 30) << "nothing changed, so nothing is written";
  round(512);
  EXPECT_EQ(table[0].length, 512u);
}

TEST(InOrder, OneEntryStandsForAllBeforeIt) {
  RingPair pair({.size = 8, .in_order = true});
  post_four(pair);
  const UsedRing used(pair.memory.ring().device, 8);
  *used.id(0) = 2;
  *used.length(0) = 77;
  *used.idx() = 3;
  std::array<UsedBuffer, 8> got;
  ASSERT_EQ(pair.driver->get(got), 3u);
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(got[i].token, i);
    EXPECT_EQ(got[i].length, i == 2 ? 77u : 256u);
  }
  *used.id(3) = 3;
  *used.idx() = 4;
  ASSERT_EQ(pair.driver->get(got), 1u);
  EXPECT_EQ(got[0].token, 3u);

  RingPair lies({.size = 8, .in_order = true});
  post_four(lies);
  const UsedRing lying(lies.memory.ring().device, 8);
  *lying.id(0) = 3;  // stands for four
  *lying.idx() = 2;
  EXPECT_EQ(lies.driver->get(got), 0u);
  EXPECT_EQ(lies.driver->fault(), RingFault::used_order);
}

/// A device ring over descriptors that a hostile driver wrote.
class BrokenDriver : public testing::Test {
 protected:
  static constexpr std::uint16_t kSize = 8;
  RingSetup setup{.size = kSize, .indirect = true, .max_chain = 4};
  std::unique_ptr<RingPair> pair;
  SplitDescriptor* table = nullptr;
  PackedDescriptor* ring = nullptr;

  void SetUp() override { make(RingKind::split); }
  void make(RingKind kind) {
    setup.kind = kind;
    pair = std::make_unique<RingPair>(setup);
    table = reinterpret_cast<SplitDescriptor*>(pair->memory.ring().descriptors);
    ring = reinterpret_cast<PackedDescriptor*>(pair->memory.ring().descriptors);
  }
  std::uint64_t here() const { return pair->memory.frames_address(); }
  std::uint8_t* there() const { return pair->memory.frames(); }
  RingFault take_split(std::uint16_t head = 0, std::uint16_t idx = 1) {
    const AvailRing avail(pair->memory.ring().driver, kSize);
    *avail.slot(0) = head;
    *avail.idx() = idx;
    return take();
  }
  RingFault take() {
    Chain chain;
    EXPECT_FALSE(pair->device->take(chain));
    EXPECT_FALSE(pair->device->call_prepare());
    const RingFault why = pair->device->fault();
    make(setup.kind);
    return why;
  }
};

TEST_F(BrokenDriver, SplitIsNamed) {
  EXPECT_EQ(take_split(0, 9), RingFault::avail_index_jump);
  EXPECT_EQ(take_split(kSize), RingFault::head_range);
  table[0] = {here(), 10, kNext, kSize};
  EXPECT_EQ(take_split(), RingFault::next_range);
  table[0] = {here(), 10, kNext, 1};
  table[1] = {here(), 10, kNext, 0};
  EXPECT_EQ(take_split(), RingFault::chain_loop);
  table[0] = {here(), 0, 0, 0};
  EXPECT_EQ(take_split(), RingFault::empty_segment);
  table[0] = {0, 10, 0, 0};
  EXPECT_EQ(take_split(), RingFault::address_range);
  table[0] = {here() + (1u << 16) - 5, 10, 0, 0};
  EXPECT_EQ(take_split(), RingFault::address_range);
  table[0] = {~std::uint64_t{0} - 3, 10, 0, 0};
  EXPECT_EQ(take_split(), RingFault::address_range);
  table[0] = {here(), 10, kWrite | kNext, 1};
  table[1] = {here(), 10, 0, 0};
  EXPECT_EQ(take_split(), RingFault::segment_order);
}

TEST_F(BrokenDriver, SplitIndirectIsNamed) {
  table[0] = {here(), 16, kIndirect | kNext, 1};
  EXPECT_EQ(take_split(), RingFault::indirect_nested);
  for (const std::uint32_t size : {0u, 15u, 17u, 1u << 20}) {
    table[0] = {here(), size, kIndirect, 0};
    EXPECT_EQ(take_split(), RingFault::indirect_size) << size;
  }
  table[0] = {here() + 1, 16, kIndirect, 0};
  EXPECT_EQ(take_split(), RingFault::indirect_size) << "not aligned";
  const auto with_table = [&](std::initializer_list<SplitDescriptor> inner, RingFault want) {
    std::ranges::copy(inner, reinterpret_cast<SplitDescriptor*>(there()));
    table[0] = {here(), static_cast<std::uint32_t>(inner.size() * 16), kIndirect, 0};
    EXPECT_EQ(take_split(), want) << text(want);
  };
  with_table({{here(), 1, kIndirect, 0}}, RingFault::indirect_nested);
  with_table({{here(), 1, kNext, 2}, {here(), 1, 0, 0}}, RingFault::next_range);
  with_table({{here(), 1, kNext, 1}, {here(), 1, kNext, 0}}, RingFault::chain_loop);
  setup.indirect = false;
  make(RingKind::split);
  with_table({{here(), 1, 0, 0}}, RingFault::indirect_unknown);
}

TEST_F(BrokenDriver, PackedIsNamed) {
  make(RingKind::packed);
  ring[0] = {here(), {0, 0, kPackedAvail}};
  EXPECT_EQ(take(), RingFault::empty_segment);
  ring[0] = {0, {4, 0, kPackedAvail}};
  EXPECT_EQ(take(), RingFault::address_range);
  for (int i = 0; i < kSize; ++i) ring[i] = {here(), {4, 0, kPackedAvail | kNext}};
  EXPECT_EQ(take(), RingFault::chain_loop);
  ring[0] = {here(), {4, 0, kPackedAvail | kNext}};
  ring[1] = {here(), {16, 0, kPackedAvail | kIndirect}};
  EXPECT_EQ(take(), RingFault::indirect_nested);
  ring[0] = {here(), {24, 0, kPackedAvail | kIndirect}};
  EXPECT_EQ(take(), RingFault::indirect_size);
  ring[0] = {here(), {4, 0, kPackedAvail | kNext | kWrite}};
  ring[1] = {here(), {4, 0, kPackedAvail}};
  EXPECT_EQ(take(), RingFault::segment_order);
}

TEST_F(BrokenDriver, AChainOfMoreSegmentsThanAreTakenIsNamed) {
  setup.size = 256;
  make(RingKind::split);
  for (std::uint16_t i = 0; i < 200; ++i) table[i] = {here(), 1, kNext, static_cast<std::uint16_t>(i + 1)};
  const AvailRing avail(pair->memory.ring().driver, 256);
  *avail.slot(0) = 0;
  *avail.idx() = 1;
  EXPECT_EQ(take(), RingFault::chain_length);
}

TEST(DeviceBase, GoesOnWhereItStopped) {
  for (const RingSetup& setup : every_setup({8})) {
    if (setup.indirect || setup.in_order) continue;
    RingPair pair(setup);
    post_four(pair);
    Chain chain;
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(pair.device->take(chain));
      pair.device->complete(chain, 1);
    }
    (void)pair.device->call_prepare();
    const auto next = DeviceRing::create(setup, pair.memory.ring(), pair.memory.guest(), pair.device->base()).value();
    ASSERT_TRUE(next->take(chain));
    EXPECT_EQ(chain.to_write()[0].data, pair.memory.frames() + 3 * 256);
    next->complete(chain, 9);
    (void)next->call_prepare();
    std::array<UsedBuffer, 8> used;
    ASSERT_EQ(pair.driver->get(used), 4u) << name_of(setup);
    EXPECT_EQ(used[3].length, 9u);
  }
}

// Both wrap counters are 0 then, and so is the whole base: it is a place like any other.
TEST(DeviceBase, OfAPackedRingMayBeZero) {
  const RingSetup setup{.kind = RingKind::packed, .size = 4};
  RingPair pair(setup);
  Chain chain;
  std::array<UsedBuffer, 4> used;
  post_four(pair);
  while (pair.device->take(chain)) pair.device->complete(chain, 1);
  (void)pair.device->call_prepare();
  ASSERT_EQ(pair.driver->get(used), 4u);
  ASSERT_EQ(pair.device->base(), 0u);
  const auto next = DeviceRing::create(setup, pair.memory.ring(), pair.memory.guest(), pair.device->base()).value();
  EXPECT_FALSE(next->take(chain));
  post_four(pair);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(next->take(chain));
    next->complete(chain, 2);
  }
  (void)next->call_prepare();
  EXPECT_EQ(pair.driver->get(used), 4u);
}

TEST(GuestMemory, SplitsAtRegionsEndsAndRefusesNonsense) {
  std::array<std::uint8_t, 100> one{}, two{};
  GuestMemory memory;
  ASSERT_TRUE(memory.set(
      {{.address = 1100, .size = 100, .host = two.data()}, {.address = 1000, .size = 100, .host = one.data()}}));
  EXPECT_EQ(memory.at(1090, 20).size(), 10u);
  EXPECT_EQ(memory.at(1100, 20).data(), two.data());
  EXPECT_TRUE(memory.at(999, 1).empty());
  EXPECT_TRUE(memory.at(1200, 1).empty());
  EXPECT_FALSE(memory.set({{.address = 0, .size = 0, .host = one.data()}}));
  EXPECT_FALSE(memory.set({{.address = ~std::uint64_t{0} - 5, .size = 100, .host = one.data()}}));
  EXPECT_FALSE(
      memory.set({{.address = 0, .size = 100, .host = one.data()}, {.address = 50, .size = 100, .host = two.data()}}));
}

}  // namespace
}  // namespace netrx::virtio
