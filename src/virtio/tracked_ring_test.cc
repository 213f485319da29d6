// SPDX-License-Identifier: Apache-2.0
// A device that goes at any moment, and one that takes its place with nothing but the rings and the in-flight region.
#include "virtio/tracked_ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <set>

#include "base/prng.h"
#include "virtio/ring_pair_test_support.h"
#include "virtio/shared_memory.h"

namespace netrx::virtio {
namespace {

constexpr std::uint32_t kFrame = 64;

class TrackedRing : public testing::TestWithParam<RingSetup> {
 protected:
  TrackedRing()
      : setup(GetParam()),
        memory(setup, kFrame * 1024),
        driver(DriverRing::create(setup, memory.ring()).value()),
        region_(in_flight_region_bytes(setup.kind, setup.size) / 8) {}

  std::uint8_t* region() { return reinterpret_cast<std::uint8_t*>(region_.data()); }
  Result<std::unique_ptr<DeviceRing>> make_device() {
    return make_tracked_ring(setup, memory.ring(), memory.guest(), std::nullopt, region());
  }
  void start_device() {
    auto made = make_device();
    ASSERT_TRUE(made) << made.error().text;
    device = std::move(*made);
  }

  /// A chain of so many buffers, named by `token`, whose first bytes say it too.
  bool post(std::uint32_t token, std::size_t buffers) {
    std::vector<Buffer> parts;
    for (std::size_t i = 0; i < buffers; ++i)
      parts.push_back({memory.frames_address() + kFrame * ((token * 4 + i) % 1024), kFrame});
    std::memcpy(memory.at(parts[0].address), &token, sizeof token);
    return driver->add({}, parts, token);
  }
  std::vector<std::uint32_t> used() {
    std::vector<std::uint32_t> tokens;
    UsedBuffer one{};
    while (driver->get({&one, 1}) == 1) tokens.push_back(one.token);
    return tokens;
  }
  static std::uint32_t token_of(const Chain& chain) {
    std::uint32_t token;
    std::memcpy(&token, chain.segments[0].data, sizeof token);
    return token;
  }

  const RingSetup setup;
  TestMemory memory;
  std::unique_ptr<DriverRing> driver;
  std::vector<std::uint64_t> region_;
  std::unique_ptr<DeviceRing> device;
};

// Whatever was taken and not shown comes again, in order; whatever was shown does not.
TEST_P(TrackedRing, GoesOnWhereTheLastOneStopped) {
  Prng prng(7);
  start_device();
  std::uint32_t posted = 0, received = 0;
  std::uint64_t restarts = 0;
  for (std::uint32_t round = 0; received < 3000; ++round) {
    ASSERT_LT(round, 100'000u) << received << " of " << posted;
    ASSERT_EQ(device->fault(), RingFault::none) << text(device->fault());
    ASSERT_EQ(driver->fault(), RingFault::none) << text(driver->fault());
    for (std::uint64_t n = prng.below(setup.size + 1u); n > 0; --n)
      if (post(posted, 1 + prng.below(std::min<std::uint64_t>(3, setup.size)))) ++posted;
    (void)driver->kick_prepare();
    std::deque<Chain> taken;
    std::uint32_t expected = received;
    for (std::uint64_t n = prng.below(6); n > 0; --n) {
      const DeviceRing::Mark mark = device->mark();
      Chain chain;
      if (!device->take(chain)) break;
      ASSERT_EQ(token_of(chain), expected);
      if (prng.chance_ppm(200'000)) {  // did not need it after all
        device->rewind(mark);
        continue;
      }
      ++expected;
      taken.push_back(chain);
    }
    const bool dies = prng.chance_ppm(300'000);
    for (std::size_t n = dies ? prng.below(taken.size() + 1) : taken.size(); n > 0; --n) {
      device->complete(taken.front(), 4);
      taken.pop_front();
    }
    if (!dies) {
      (void)device->call_prepare();
      for (const std::uint32_t token : used()) ASSERT_EQ(token, received++);
      ASSERT_EQ(received, expected);
      continue;
    }
    device.reset();
    start_device();
    ++restarts;
  }
  EXPECT_GT(restarts, 50u);
  EXPECT_EQ(device->fault(), RingFault::none);
  EXPECT_EQ(driver->fault(), RingFault::none);
}

// It had shown a batch to the driver and went before the region said so: the batch does not come again.
TEST_P(TrackedRing, DoesNotRepeatWhatItHadShown) {
  start_device();
  for (std::uint32_t token = 0; token < 2; ++token) ASSERT_TRUE(post(token, 1));
  (void)driver->kick_prepare();
  Chain first, second;
  ASSERT_TRUE(device->take(first) && device->take(second));
  const std::vector<std::uint64_t> before = region_;
  device->complete(first, 4);
  (void)device->call_prepare();
  const std::vector<std::uint64_t> after = region_;
  device.reset();
  // The region as it is between showing and what is written after it.
  region_ = before;
  if (setup.kind == RingKind::split) {
    reinterpret_cast<SplitRegion*>(region())->last_batch_head = first.id;
  } else {
    auto& then = *reinterpret_cast<PackedRegion*>(region());
    const auto& now = reinterpret_cast<const PackedRegion&>(after[0]);
    then.free_head = now.free_head;
    then.used_idx = now.used_idx;
    then.used_wrap = now.used_wrap;
    auto* states = reinterpret_cast<PackedState*>(region() + sizeof(PackedRegion));
    const auto* now_states = reinterpret_cast<const PackedState*>(&now + 1);
    for (std::uint32_t i = 0; i < setup.size; ++i) states[i].next = now_states[i].next;
  }
  start_device();
  Chain again;
  ASSERT_TRUE(device->take(again));
  EXPECT_EQ(token_of(again), 1u);
  device->complete(again, 4);
  (void)device->call_prepare();
  EXPECT_EQ(used(), (std::vector<std::uint32_t>{0, 1}));
}

// The program at the other end may have written anything.
TEST_P(TrackedRing, SurvivesAnyRegion) {
  Prng prng(11);
  for (int round = 0; round < 3000; ++round) {
    start_device();
    for (std::uint32_t token = 0; token < 3; ++token) (void)post(token, 1);
    (void)driver->kick_prepare();
    Chain chain;
    for (int n = 0; n < 2; ++n) (void)device->take(chain);
    device.reset();
    for (std::uint64_t n = prng.between(1, 4); n > 0; --n)
      region()[prng.below(region_.size() * 8)] = static_cast<std::uint8_t>(prng.next());
    if (auto made = make_device()) {
      for (std::uint32_t n = 0; n < 3u * setup.size && (*made)->take(chain); ++n) {
        (*made)->complete(chain, 4);
        (void)(*made)->call_prepare();
      }
      EXPECT_TRUE(!(*made)->has_available() || (*made)->fault() != RingFault::none) << "it would spin";
    } else {
      EXPECT_NE(made.error().text.find("in-flight area"), std::string::npos);
    }
    std::ranges::fill(region_, 0);
    driver = DriverRing::create(setup, memory.ring()).value();
  }
}

TEST_P(TrackedRing, ADriverThatShowsMoreThanItsRingHoldsIsStopped) {
  start_device();
  if (setup.kind == RingKind::split)
    *AvailRing(memory.ring().driver, setup.size).idx() = static_cast<std::uint16_t>(setup.size + 1);
  for (std::uint32_t token = 0; token < setup.size && setup.kind == RingKind::packed; ++token)
    ASSERT_TRUE(post(token, 1));
  Chain chain;
  std::uint32_t taken = 0;
  for (; setup.kind == RingKind::packed && taken < 4u * setup.size && device->take(chain); ++taken) {
    std::uint8_t* flags =
        memory.ring().descriptors + 16 * (taken % setup.size) + 14;  // available in the next round too
    flags[0] ^= 0x80;
    flags[1] ^= 0x80;
  }
  EXPECT_FALSE(device->take(chain));
  EXPECT_EQ(taken, setup.kind == RingKind::packed ? setup.size : 0u);
  EXPECT_EQ(device->fault(), RingFault::avail_index_jump);
}

INSTANTIATE_TEST_SUITE_P(Kinds, TrackedRing,
                         testing::ValuesIn(std::vector<RingSetup>{
                             {.kind = RingKind::split, .size = 4},
                             {.kind = RingKind::split, .size = 64, .event_idx = false},
                             {.kind = RingKind::split, .size = 16, .indirect = true, .max_chain = 3},
                             {.kind = RingKind::packed, .size = 3},
                             {.kind = RingKind::packed, .size = 64, .event_idx = false},
                             {.kind = RingKind::packed, .size = 11, .indirect = true, .max_chain = 3},
                         }),
                         [](const auto& one) { return name_of(one.param); });

}  // namespace
}  // namespace netrx::virtio
