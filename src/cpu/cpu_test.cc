// SPDX-License-Identifier: Apache-2.0
// The same locks and doorbell with real threads: what the models show of the memory model, ThreadSanitizer sees of the
// build. Also Cpu and Published.
#include "cpu/cpu.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

#include "cpu/doorbell.h"
#include "cpu/published.h"
#include "cpu/spin_lock.h"

namespace netrx {
namespace {

constexpr int kTurns = 2000;

/// Runs `body(index)` on `n` threads.
template <class Body>
void on_threads(unsigned n, Body body) {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < n; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

TEST(Cpu, OneOccupantAtATime) {
  Cpu cpu(3);
  EXPECT_EQ(cpu.id(), 3);
  int turns = 0;
  on_threads(3, [&](unsigned) {
    Actor actor;
    for (int i = 0; i < kTurns; ++i) {
      CpuGuard guard(cpu, actor);
      EXPECT_EQ(&cpu.actor(), &actor);
      ++turns;
    }
  });
  EXPECT_EQ(turns, 3 * kTurns);
  EXPECT_FALSE(cpu.wanted());
}

TEST(Cpu, TheOccupantSeesThatSomebodyWaits) {
  Cpu cpu(0);
  Actor mine;
  cpu.enter(mine);
  EXPECT_FALSE(cpu.wanted());
  std::thread other([&] {
    Actor theirs;
    CpuGuard guard(cpu, theirs);
  });
  while (!cpu.wanted()) std::this_thread::yield();
  cpu.leave();
  other.join();
  EXPECT_FALSE(cpu.wanted());
}

TEST(SpinLock, OneInsideAtATime) {
  SpinLock lock;
  int turns = 0;
  on_threads(3, [&](unsigned) {
    Actor actor;
    for (int i = 0; i < kTurns; ++i) {
      SpinGuard guard(lock, actor);
      ++turns;
    }
  });
  EXPECT_EQ(turns, 3 * kTurns);
}

TEST(Doorbell, RequestsAddUpUntilCollected) {
  Doorbell doorbell;
  EXPECT_EQ(doorbell.collect(), 0u);
  EXPECT_FALSE(doorbell.ring(kBellRps));
  EXPECT_FALSE(doorbell.ring(kBellDefer));
  EXPECT_FALSE(doorbell.prepare_sleep()) << "requests came in";
  EXPECT_EQ(doorbell.collect(), kBellRps | kBellDefer);
  EXPECT_EQ(doorbell.collect(), 0u);
}

TEST(Doorbell, TheFirstRingerWakesAndTheSleepFlagIsTheSleepers) {
  Doorbell doorbell;
  ASSERT_TRUE(doorbell.prepare_sleep());
  EXPECT_EQ(doorbell.collect(), 0u) << "someone else who looks doesn't take the flag";
  EXPECT_TRUE(doorbell.ring(kBellRps));
  EXPECT_FALSE(doorbell.ring(kBellKick));
  EXPECT_EQ(doorbell.collect(), kBellRps | kBellKick);
  ASSERT_TRUE(doorbell.prepare_sleep());
  doorbell.awake();
  EXPECT_FALSE(doorbell.ring(kBellRps)) << "awake again, though nobody rang";
}

TEST(Doorbell, NoRequestSleepsBetweenRealThreads) {
  Doorbell doorbell;
  std::counting_semaphore<> eventfd(0);
  int written[2] = {0, 0};
  std::atomic<int> answered[2] = {0, 0};
  std::thread owner([&] {
    for (int left = 2 * kTurns; left > 0;) {
      const std::uint32_t bells = doorbell.collect();
      for (unsigned i = 0; i < 2; ++i) {
        if ((bells & (1u << i)) == 0) continue;
        answered[i] = written[i];
        --left;
      }
      if (bells == 0 && doorbell.prepare_sleep()) {
        eventfd.acquire();
        doorbell.awake();
      }
    }
  });
  std::thread ringer([&] {
    on_threads(2, [&](unsigned i) {
      for (int n = 1; n <= kTurns; ++n) {
        written[i] = n;
        if (doorbell.ring(1u << i)) eventfd.release();
        while (answered[i] != n) std::this_thread::yield();
      }
    });
  });
  ringer.join();
  owner.join();
  EXPECT_EQ(answered[0] + answered[1], 2 * kTurns);
}

struct Counted {
  explicit Counted(int& count) : alive(count) { ++alive; }
  ~Counted() { --alive; }
  int& alive;
};

TEST(Published, GivesTheOldObjectBackAndDestroysTheLast) {
  int alive = 0;
  {
    Published<Counted> published;
    EXPECT_EQ(published.read(), nullptr);
    EXPECT_EQ(published.exchange(std::make_unique<Counted>(alive)), nullptr);
    const Counted* first = published.read();
    const auto old = published.exchange(std::make_unique<Counted>(alive));
    EXPECT_EQ(old.get(), first);
    EXPECT_EQ(alive, 2);
  }
  EXPECT_EQ(alive, 0);
  Published<Counted> emptied;
  (void)emptied.exchange(std::make_unique<Counted>(alive));
  (void)emptied.exchange(nullptr);
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace netrx
