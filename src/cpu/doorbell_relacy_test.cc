// SPDX-License-Identifier: Apache-2.0
// The doorbell's claims, under every interleaving the C++ memory model allows: nobody sleeps while a request is
// pending, what was written before ring() is visible after collect(), of several ringers one wakes.

#include <gtest/gtest.h>

#include "cpu/doorbell.h"
#include "cpu/relacy_model.h"

#if NETRX_RELACY

namespace netrx::model {
namespace {

/// Doorbells with one mistake each.
template <template <class> class A>
class DoorbellTwoStepSleep : public BasicDoorbell<A> {
 public:
  bool prepare_sleep() {
    if (peek() != 0) return false;
    (void)this->ring(this->kSleeping);  // the look and the announcement are two steps
    return true;
  }

 private:
  bool peek() {
    const bool idle = BasicDoorbell<A>::prepare_sleep();
    if (idle) this->awake();
    return !idle;
  }
};

template <template <class> class A>
class DoorbellForAll : public BasicDoorbell<A> {
 public:
  bool ring(std::uint32_t bells) {
    if (!BasicDoorbell<A>::ring(bells)) return false;
    (void)BasicDoorbell<A>::ring(this->kSleeping);  // leaves the flag for the next ringer, who wakes as well
    return true;
  }
};

template <template <class> class A>
class DoorbellSkipsSleeper : public BasicDoorbell<A> {
 public:
  bool ring(std::uint32_t bells) {
    (void)BasicDoorbell<A>::ring(bells);
    return false;
  }
};

/// kRingers CPUs ring once each; the owner collects, and sleeps when there is nothing.
template <class Doorbell, int kRingers, bool kTimeouts = false>
struct RingersAndSleeper : rl::test_suite<RingersAndSleeper<Doorbell, kRingers, kTimeouts>, kRingers + 1> {
  Doorbell doorbell;
  ModelWaker waker;
  rl::var<int> written[kRingers];
  int sleeps = 0;
  int wakes = 0;

  void before() {
    waker.init();
    for (rl::var<int>& value : written) value($) = 0;
  }

  void thread(unsigned index) {
    if (index == kRingers)
      own();
    else
      ring(index);
  }

  void ring(unsigned index) {
    written[index]($) = 1;
    if (!doorbell.ring(1u << index)) return;
    ++wakes;
    waker.wake();
  }

  void own() {
    constexpr std::uint32_t kAll = (1u << kRingers) - 1;
    for (std::uint32_t got = 0;;) {
      const std::uint32_t bells = doorbell.collect();
      RL_ASSERT((bells & ~kAll) == 0 && (bells & got) == 0);
      for (int i = 0; i < kRingers; ++i)
        if (bells & (1u << i)) RL_ASSERT(written[i]($) == 1);
      got |= bells;
      if (got == kAll) return;
      if (!doorbell.prepare_sleep()) continue;
      ++sleeps;
      if (kTimeouts)
        waker.sleep_or_time_out();
      else
        waker.sleep();
      doorbell.awake();
    }
  }

  void after() {
    if (!kTimeouts) RL_ASSERT(wakes == sleeps && !waker.surplus());
    RL_ASSERT(wakes <= sleeps);
    waker.deinit();
  }
};

TEST(DoorbellModel, OneRinger) {
  EXPECT_TRUE((holds<RingersAndSleeper<BasicDoorbell<ModelAtomic>, 1>>(every_interleaving())));
}
TEST(DoorbellModel, TwoRingersOneWake) {
  EXPECT_TRUE((holds<RingersAndSleeper<BasicDoorbell<ModelAtomic>, 2>>(every_interleaving())));
}
TEST(DoorbellModel, ThreeRingers) {
  EXPECT_TRUE((holds<RingersAndSleeper<BasicDoorbell<ModelAtomic>, 3>>(preemptions(3))));
}
TEST(DoorbellModel, SleepThatTimesOut) {
  EXPECT_TRUE((holds<RingersAndSleeper<BasicDoorbell<ModelAtomic>, 2, true>>(random_walks(200'000))));
}

TEST(DoorbellModel, FindsSleepInTwoSteps) {
  EXPECT_TRUE((
      breaks<RingersAndSleeper<DoorbellTwoStepSleep<ModelAtomic>, 1>>(every_interleaving(), rl::test_result_deadlock)));
}
TEST(DoorbellModel, FindsTwoWakers) {
  EXPECT_TRUE((breaks<RingersAndSleeper<DoorbellForAll<ModelAtomic>, 2>>(every_interleaving(),
                                                                         rl::test_result_user_assert_failed)));
}
TEST(DoorbellModel, FindsSkippedWake) {
  EXPECT_TRUE((
      breaks<RingersAndSleeper<DoorbellSkipsSleeper<ModelAtomic>, 1>>(every_interleaving(), rl::test_result_deadlock)));
}
TEST(DoorbellModel, FindsRelaxedOrders) {
  EXPECT_TRUE(
      (breaks<RingersAndSleeper<BasicDoorbell<RelaxedAtomic>, 1>>(every_interleaving(), rl::test_result_data_race)));
}

}  // namespace
}  // namespace netrx::model

#endif  // NETRX_RELACY
