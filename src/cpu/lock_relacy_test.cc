// SPDX-License-Identifier: Apache-2.0
// Turnstile and spin lock under every interleaving: one inside at a time, what one did is visible to the next, and the
// turnstile lets nobody overtake.

#include <gtest/gtest.h>

#include "cpu/relacy_model.h"
#include "cpu/spin_lock.h"
#include "cpu/turnstile.h"

#if NETRX_RELACY

namespace netrx::model {
namespace {

template <template <class> class A>
struct TurnstileLock {
  BasicTurnstile<A> turnstile;
  void lock(Actor& actor) { turnstile.enter(actor); }
  void unlock(Actor&) { turnstile.leave(); }
};

/// A turnstile whose tickets are drawn in two steps.
template <template <class> class A>
struct TornTicketLock {
  A<std::uint32_t> next{0};
  A<std::uint32_t> serving{0};
  void lock(Actor& actor) {
    const std::uint32_t ticket = next.load(std::memory_order_relaxed);
    next.store(ticket + 1, std::memory_order_relaxed);
    while (serving.load(std::memory_order_acquire) != ticket) actor.relax();
  }
  void unlock(Actor&) { serving.store(serving.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
};

template <class Lock, int kThreads, int kTurns>
struct Turns : rl::test_suite<Turns<Lock, kThreads, kTurns>, kThreads> {
  Lock lock;
  ModelInterleaver interleaver;
  rl::var<int> guarded;

  void before() { guarded($) = 0; }
  void thread(unsigned) NETRX_NO_THREAD_SAFETY_ANALYSIS {
    Actor actor(&interleaver);
    for (int i = 0; i < kTurns; ++i) {
      lock.lock(actor);
      guarded($) = guarded($) + 1;
      lock.unlock(actor);
    }
  }
  void after() { RL_ASSERT(guarded($) == kThreads * kTurns); }
};

TEST(TurnstileModel, OneAtATime) {
  EXPECT_TRUE((holds<Turns<TurnstileLock<ModelAtomic>, 2, 1>>(every_interleaving())));
  EXPECT_TRUE((holds<Turns<TurnstileLock<ModelAtomic>, 3, 2>>(preemptions(2))));
}
TEST(TurnstileModel, FindsRelaxedOrders) {
  EXPECT_TRUE((breaks<Turns<TurnstileLock<RelaxedAtomic>, 2, 1>>(every_interleaving(), rl::test_result_data_race)));
}
TEST(TurnstileModel, FindsTornTicket) {
  EXPECT_TRUE((breaks<Turns<TornTicketLock<ModelAtomic>, 2, 1>>(every_interleaving(), rl::test_result_livelock)));
}

TEST(SpinLockModel, OneAtATime) {
  EXPECT_TRUE((holds<Turns<BasicSpinLock<ModelAtomic>, 2, 1>>(every_interleaving())));
  EXPECT_TRUE((holds<Turns<BasicSpinLock<ModelAtomic>, 3, 2>>(preemptions(3))));
}
TEST(SpinLockModel, FindsRelaxedOrders) {
  EXPECT_TRUE((breaks<Turns<BasicSpinLock<RelaxedAtomic>, 2, 1>>(every_interleaving(), rl::test_result_data_race)));
}

/// A lock that knows of those who wait, and lets others overtake them.
template <template <class> class A>
class UnfairTurnstile {
 public:
  void enter(Actor& actor) NETRX_NO_THREAD_SAFETY_ANALYSIS {
    waiting_.fetch_add(1, std::memory_order_relaxed);
    lock_.lock(actor);
    waiting_.fetch_add(~0u, std::memory_order_relaxed);
    actor_ = &actor;
  }
  void leave() NETRX_NO_THREAD_SAFETY_ANALYSIS { lock_.unlock(*actor_); }
  bool wanted() const { return waiting_.load(std::memory_order_relaxed) != 0; }

 private:
  BasicSpinLock<A> lock_;
  A<std::uint32_t> waiting_{0};
  Actor* actor_ = nullptr;
};

/// Who waits is served before the one who leaves and comes again.
template <class Turnstile>
struct FirstComeFirstServed : rl::test_suite<FirstComeFirstServed<Turnstile>, 2> {
  Turnstile turnstile;
  ModelInterleaver interleaver;
  ModelAtomic<int> other_was_inside{0};

  void thread(unsigned index) {
    Actor actor(&interleaver);
    turnstile.enter(actor);
    if (index == 1) {
      other_was_inside.store(1, std::memory_order_relaxed);
      turnstile.leave();
      return;
    }
    const bool waits = turnstile.wanted() && other_was_inside.load(std::memory_order_relaxed) == 0;
    turnstile.leave();
    turnstile.enter(actor);
    if (waits) RL_ASSERT(other_was_inside.load(std::memory_order_relaxed) == 1);
    turnstile.leave();
  }
};
TEST(TurnstileModel, FirstComeFirstServed) {
  EXPECT_TRUE((holds<FirstComeFirstServed<BasicTurnstile<ModelAtomic>>>(preemptions(4))));
}
TEST(TurnstileModel, FindsOvertaking) {
  EXPECT_TRUE((breaks<FirstComeFirstServed<UnfairTurnstile<ModelAtomic>>>(every_interleaving(),
                                                                          rl::test_result_user_assert_failed)));
}

}  // namespace
}  // namespace netrx::model

#endif  // NETRX_RELACY
