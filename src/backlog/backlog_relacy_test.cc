// SPDX-License-Identifier: Apache-2.0
// The backlog's protocol under every interleaving, on the real ring, lock, NAPI state and doorbell: no packet is left
// behind, a target is linked by one CPU at a time, and a head at or past a packet's tail means that its delivery is
// over.

#include <gtest/gtest.h>

#include "cpu/doorbell.h"
#include "cpu/relacy_model.h"
#include "packet/packet_ring.h"
#include "softnet/napi_state.h"

#if NETRX_RELACY

namespace netrx::model {
namespace {

enum class Mistake { none, sched_cleared_outside_lock, sched_set_before_lock, head_before_work };

/// One CPU's share of SoftnetData, and the steps that backlog.cc and poll_backlog take on it.
template <template <class> class A, Mistake mistake>
struct ModelCpu {
  static constexpr std::uint32_t kRing = 4;

  BasicPacketRing<A> ring{kRing, 0xfffffffeu};  // wraps in the middle of a model
  BasicNapiState<A> backlog{0};
  BasicDoorbell<A> doorbell;
  ModelWaker waker;
  Packet packets[kRing];
  rl::var<int> content[kRing];    // what a producer writes before the hand-over
  rl::var<int> delivered[kRing];  // what the handler writes

  void init() {
    waker.init();
    for (std::uint32_t i = 0; i < kRing; ++i) {
      content[i]($) = 0;
      delivered[i]($) = 0;
      packets[i].frame_id = i;
    }
  }

  /// enqueue_to_backlog. Returns the packet's tail; `kick`: the caller now rings.
  std::uint32_t enqueue(Actor& actor, std::uint32_t id, bool& kick) NETRX_NO_THREAD_SAFETY_ANALYSIS {
    content[id]($) = static_cast<int>(id) + 1;
    const bool early = mistake == Mistake::sched_set_before_lock && ring.input_len() == 0 && !backlog.test(kNapiSched);
    BasicSpinGuard guard(ring.lock(), actor);
    RL_ASSERT(ring.room(1) >= 1);
    kick = mistake == Mistake::sched_set_before_lock ? early : ring.input_len() == 0 && !backlog.test(kNapiSched);
    if (kick) backlog.set(kNapiSched);
    Packet* packet = &packets[id];
    ring.append({&packet, 1});
    return ring.tail();
  }

  void ring_doorbell() {
    if (doorbell.ring(kBellRps)) waker.wake();
  }

  /// splice_or_idle
  bool splice_or_idle(Actor& actor) NETRX_NO_THREAD_SAFETY_ANALYSIS {
    {
      BasicSpinGuard guard(ring.lock(), actor);
      if (ring.splice() != 0) return true;
      if (mistake != Mistake::sched_cleared_outside_lock) backlog.overwrite_keeping_threaded();
    }
    if (mistake == Mistake::sched_cleared_outside_lock) backlog.overwrite_keeping_threaded();
    return false;
  }

  /// process_backlog without a quota; returns packets delivered.
  int poll(Actor& actor) {
    int work = 0;
    do {
      for (;;) {
        const std::span<Packet*> taken = ring.take(ModelCpu::kRing);
        if (taken.empty()) break;
        if (mistake == Mistake::head_before_work) ring.finish();
        for (Packet* packet : taken) {
          RL_ASSERT(content[packet->frame_id]($) == static_cast<int>(packet->frame_id) + 1);
          delivered[packet->frame_id]($) = 1;
          ++work;
        }
      }
    } while (splice_or_idle(actor));
    ring.finish();
    return work;
  }

  /// A CPU's loop: doorbell, poll, sleep; ends when it has delivered `expected`.
  void run(Actor& actor, int expected) {
    for (int done = 0; done < expected;) {
      if (doorbell.collect() & kBellRps) {
        RL_ASSERT(backlog.test(kNapiSched));
        done += poll(actor);
      } else if (doorbell.prepare_sleep()) {
        waker.sleep();
        doorbell.awake();
      }
    }
  }
};

/// kProducers CPUs send kEach packets to one target, each a lock, and ring after each when they linked it.
template <template <class> class A, int kProducers, int kEach, Mistake mistake = Mistake::none>
struct ProducersAndTarget : rl::test_suite<ProducersAndTarget<A, kProducers, kEach, mistake>, kProducers + 1> {
  ModelCpu<A, mistake> target;
  ModelInterleaver interleaver;
  rl::var<int> ipi_next;  // rps_ipi_next: belongs to whoever set SCHED

  void before() {
    target.init();
    ipi_next($) = 0;
  }

  void thread(unsigned index) {
    Actor actor(&interleaver);
    if (index == kProducers) return target.run(actor, kProducers * kEach);
    for (int i = 0; i < kEach; ++i) {
      bool kick = false;
      (void)target.enqueue(actor, index * kEach + static_cast<unsigned>(i), kick);
      if (!kick) continue;
      ipi_next($) = ipi_next($) + 1;
      target.ring_doorbell();
    }
  }

  void after() {
    RL_ASSERT(!target.backlog.test(kNapiSched) || target.ring.input_len() == 0);
    RL_ASSERT(target.ring.head() == 0xfffffffeu + kProducers * kEach);
    target.waker.deinit();
  }
};

TEST(BacklogModel, NoPacketIsLeftBehind) {
  EXPECT_TRUE((holds<ProducersAndTarget<ModelAtomic, 1, 2>>(preemptions(4))));
  EXPECT_TRUE((holds<ProducersAndTarget<ModelAtomic, 2, 1>>(preemptions(3))));
  EXPECT_TRUE((holds<ProducersAndTarget<ModelAtomic, 2, 2>>(random_walks(100'000))));
}
TEST(BacklogModel, FindsSchedClearedOutsideTheLock) {
  EXPECT_TRUE((breaks<ProducersAndTarget<ModelAtomic, 1, 2, Mistake::sched_cleared_outside_lock>>(
      preemptions(3), rl::test_result_deadlock)));
}
TEST(BacklogModel, FindsEmptinessTestedOutsideTheLock) {
  EXPECT_TRUE((breaks<ProducersAndTarget<ModelAtomic, 1, 2, Mistake::sched_set_before_lock>>(
      preemptions(3), rl::test_result_deadlock)));
}
TEST(BacklogModel, FindsRelaxedOrders) {
  EXPECT_TRUE((breaks<ProducersAndTarget<RelaxedAtomic, 1, 1>>(preemptions(3), rl::test_result_data_race)));
}

/// RFS: a steering CPU that finds head at or past its last packet's tail may send the next one elsewhere, because the
/// old CPU has handed it up.
template <template <class> class A, Mistake mistake = Mistake::none>
struct SwitchAfterDelivery : rl::test_suite<SwitchAfterDelivery<A, mistake>, 2> {
  ModelCpu<A, mistake> old_cpu;
  ModelInterleaver interleaver;

  void before() { old_cpu.init(); }
  void after() { old_cpu.waker.deinit(); }

  void thread(unsigned index) {
    Actor actor(&interleaver);
    if (index == 1) return old_cpu.run(actor, 2);
    for (unsigned packet = 0; packet < 2; ++packet) {
      bool kick = false;
      const std::uint32_t last_qtail = old_cpu.enqueue(actor, packet, kick);
      if (kick) old_cpu.ring_doorbell();
      if (reached(old_cpu.ring.head(), last_qtail)) RL_ASSERT(old_cpu.delivered[packet]($) == 1);
    }
  }
};

TEST(BacklogModel, HeadIsPublishedAfterTheWork) {
  EXPECT_TRUE((holds<SwitchAfterDelivery<ModelAtomic>>(preemptions(4))));
}
TEST(BacklogModel, FindsHeadBeforeTheWork) {
  EXPECT_TRUE(
      (breaks<SwitchAfterDelivery<ModelAtomic, Mistake::head_before_work>>(preemptions(4), rl::test_result_data_race)));
}

/// A ring with a relaxed head and all else as written: what head()'s acquire and finish()'s release are for.
template <class T>
struct HeadRelaxed : ModelAtomic<T> {
  using ModelAtomic<T>::ModelAtomic;
  T load(std::memory_order order, std::source_location where = std::source_location::current()) const {
    return ModelAtomic<T>::load(
        order == std::memory_order_acquire && sizeof(T) == 4 ? std::memory_order_relaxed : order, where);
  }
};
TEST(BacklogModel, FindsRelaxedHead) {
  EXPECT_TRUE((breaks<SwitchAfterDelivery<HeadRelaxed>>(preemptions(4), rl::test_result_data_race)));
}

}  // namespace
}  // namespace netrx::model

#endif  // NETRX_RELACY
