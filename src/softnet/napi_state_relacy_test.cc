// SPDX-License-Identifier: Apache-2.0
// Ownership of a NAPI under every interleaving: interrupt against completion loses no event, and whoever takes it
// (interrupt, watchdog, busy poll, control plane) has it alone and sees what the last owner did.

#include <gtest/gtest.h>

#include "cpu/relacy_model.h"
#include "softnet/napi_state.h"

#if NETRX_RELACY

namespace netrx::model {
namespace {

/// States with one mistake each.
template <template <class> class A>
class CompletesInTwoSteps : public BasicNapiState<A> {
 public:
  using BasicNapiState<A>::BasicNapiState;
  bool complete() {
    if (this->test(kNapiMissed)) {
      this->clear(kNapiMissed);
      return false;
    }
    this->clear(kNapiSched);  // an interrupt between the look and this step leaves MISSED for nobody
    return true;
  }
};

template <template <class> class A>
class IgnoresMissed : public BasicNapiState<A> {
 public:
  using BasicNapiState<A>::BasicNapiState;
  bool complete() {
    this->clear(kNapiMissed | kNapiSched);
    return true;
  }
};

template <template <class> class A>
class OwnsInTwoSteps : public BasicNapiState<A> {
 public:
  using BasicNapiState<A>::BasicNapiState;
  bool try_own() {
    if (this->test(kNapiSched)) return false;
    this->set(kNapiSched);
    return true;
  }
};

/// A queue as RxQueue describes it: a device counts up what has arrived and interrupts while unmasked.
struct ModelQueue {
  ModelAtomic<std::uint32_t> arrived{0};
  ModelAtomic<std::uint32_t> masked{0};

  /// True: interrupt.
  bool device_adds() {
    arrived.fetch_add(1, std::memory_order_release);
    rl::atomic_thread_fence(rl::mo_seq_cst, $);
    return masked.load(std::memory_order_relaxed) == 0;
  }
  void mask() { masked.store(1, std::memory_order_relaxed); }
  void unmask() { masked.store(0, std::memory_order_relaxed); }
  bool missed(std::uint32_t cookie) {
    rl::atomic_thread_fence(rl::mo_seq_cst, $);
    return arrived.load(std::memory_order_relaxed) != cookie;
  }
};

enum class Recheck { yes, no };

/// One thread is the device and takes its interrupt; kPollers CPUs poll whatever was scheduled, as poll_device and
/// complete_device_poll do it.
template <class State, int kEvents, int kPollers, Recheck recheck = Recheck::yes>
struct InterruptAndPoll : rl::test_suite<InterruptAndPoll<State, kEvents, kPollers, recheck>, kPollers + 1> {
  State state{0};
  ModelQueue queue;
  ModelWaker poll_list;
  rl::var<std::uint32_t> seen;  // the owner's, like GroNode
  bool stop = false;

  void before() {
    poll_list.init();
    seen($) = 0;
  }
  void after() { poll_list.deinit(); }

  void thread(unsigned index) {
    if (index != kPollers) return poll_loop();
    for (int i = 0; i < kEvents; ++i)
      if (queue.device_adds()) schedule();
  }

  void schedule() {
    if (!state.schedule_prep()) return;
    queue.mask();
    poll_list.wake();
  }

  void poll_loop() {
    for (;;) {
      poll_list.sleep();
      if (stop) return;
      const std::uint32_t got = queue.arrived.load(std::memory_order_acquire);
      RL_ASSERT(got >= seen($));
      seen($) = got;
      complete(got);
      if (got != kEvents || stop) continue;
      stop = true;
      for (int i = 0; i < kPollers; ++i) poll_list.wake();
    }
  }

  void complete(std::uint32_t cookie) {
    queue.unmask();
    if (!state.complete()) {
      queue.mask();
      poll_list.wake();  // still ours
    } else if (recheck == Recheck::yes && queue.missed(cookie)) {
      schedule();
    }
  }
};

TEST(NapiStateModel, NoEventIsLost) {
  EXPECT_TRUE((holds<InterruptAndPoll<BasicNapiState<ModelAtomic>, 2, 1>>(preemptions(3))));
  EXPECT_TRUE((holds<InterruptAndPoll<BasicNapiState<ModelAtomic>, 3, 1>>(random_walks(200'000))));
}
TEST(NapiStateModel, OwnershipPassesBetweenCpus) {
  EXPECT_TRUE((holds<InterruptAndPoll<BasicNapiState<ModelAtomic>, 2, 2>>(preemptions(2))));
}
TEST(NapiStateModel, FindsMissingRecheck) {
  EXPECT_TRUE((breaks<InterruptAndPoll<BasicNapiState<ModelAtomic>, 2, 1, Recheck::no>>(preemptions(3),
                                                                                        rl::test_result_deadlock)));
}
TEST(NapiStateModel, FindsRelaxedOrders) {
  EXPECT_TRUE(
      (breaks<InterruptAndPoll<BasicNapiState<RelaxedAtomic>, 2, 2>>(preemptions(3), rl::test_result_data_race)));
}

/// Events that no queue remembers: only MISSED tells the owner of those that came while it polled.
template <class State, int kEvents, int kSources>
struct EventsAndPoll : rl::test_suite<EventsAndPoll<State, kEvents, kSources>, kSources + 1> {
  State state{0};
  ModelWaker poll_list;
  ModelAtomic<std::uint32_t> events{0};

  void before() { poll_list.init(); }
  void after() { poll_list.deinit(); }

  void thread(unsigned index) {
    if (index == kSources) return poll_loop();
    for (int i = 0; i < kEvents; ++i) {
      events.fetch_add(1, std::memory_order_relaxed);
      if (state.schedule_prep()) poll_list.wake();
    }
  }

  void poll_loop() {
    for (std::uint32_t got = 0; got != kEvents * kSources;) {
      poll_list.sleep();
      do got = events.load(std::memory_order_relaxed);
      while (!state.complete());
    }
  }
};

TEST(NapiStateModel, MissedTellsOfEveryEvent) {
  EXPECT_TRUE((holds<EventsAndPoll<BasicNapiState<ModelAtomic>, 2, 1>>(every_interleaving())));
  EXPECT_TRUE((holds<EventsAndPoll<BasicNapiState<ModelAtomic>, 1, 2>>(preemptions(4))));
}
TEST(NapiStateModel, FindsCompletionInTwoSteps) {
  EXPECT_TRUE(
      (breaks<EventsAndPoll<CompletesInTwoSteps<ModelAtomic>, 2, 1>>(every_interleaving(), rl::test_result_deadlock)));
}
TEST(NapiStateModel, FindsIgnoredMissed) {
  EXPECT_TRUE(
      (breaks<EventsAndPoll<IgnoresMissed<ModelAtomic>, 2, 1>>(every_interleaving(), rl::test_result_deadlock)));
}
TEST(NapiStateModel, FindsRelaxedMissed) {
  EXPECT_TRUE(
      (breaks<EventsAndPoll<BasicNapiState<RelaxedAtomic>, 2, 1>>(every_interleaving(), rl::test_result_deadlock)));
}

/// Interrupt, watchdog, busy poll and the control plane want the same NAPI, each once.
template <class State>
struct FourOwners : rl::test_suite<FourOwners<State>, 4> {
  State state{0};
  rl::var<int> owned;
  int turns = 0;
  ModelAtomic<int> disabled{0};

  void before() { owned($) = 0; }
  void use() {
    owned($) = owned($) + 1;
    ++turns;
  }

  void thread(unsigned index) {
    switch (index) {
      case 0:
        if (state.schedule_prep()) poll();
        break;
      case 1:
        if (state.try_own()) poll();
        break;
      case 2:
        if (state.begin_busy_poll()) {
          use();
          state.clear(kNapiMissed);
          state.clear(kNapiInBusyPoll);
          poll();
        }
        break;
      default:
        state.set(kNapiDisable);
        while (!state.try_disable()) rl::yield(1, $);
        state.clear(kNapiDisable);
        use();
        RL_ASSERT(!state.schedule_prep());
        disabled.store(1, std::memory_order_release);
    }
  }

  void poll() {
    do use();
    while (!state.complete());
  }
  void after() {
    RL_ASSERT(owned($) == turns);
    RL_ASSERT(state.test(kNapiSched) && state.test(kNapiNpsvc) && !state.test(kNapiDisable));
  }
};

TEST(NapiStateModel, OneOwnerAtATime) {
  EXPECT_TRUE((holds<FourOwners<BasicNapiState<ModelAtomic>>>(random_walks(300'000))));
  EXPECT_TRUE((holds<FourOwners<BasicNapiState<ModelAtomic>>>(preemptions(2))));
}
TEST(NapiStateModel, FindsOwnershipInTwoSteps) {
  EXPECT_TRUE((breaks<FourOwners<OwnsInTwoSteps<ModelAtomic>>>(random_walks(300'000), rl::test_result_data_race)));
}

}  // namespace
}  // namespace netrx::model

#endif  // NETRX_RELACY
