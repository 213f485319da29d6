// SPDX-License-Identifier: Apache-2.0
#include "two_cpus.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace netrx::bench {

namespace {

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) std::perror("netrx_bench: sched_setaffinity");
}

double additions_a_ns() {
  constexpr int kRounds = 10'000'000;
  std::uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8;
  const std::int64_t begin = now_ns();
  for (int i = 0; i < kRounds; ++i) {
    a += b, c += d, e += f, g += h;
    asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f), "+r"(g), "+r"(h));
    b += a, d += c, f += e, h += g;
    asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f), "+r"(g), "+r"(h));
  }
  return 8.0 * kRounds / static_cast<double>(now_ns() - begin);
}

constexpr double kNearNs = 60;
constexpr double kFarNs = 80;
constexpr std::chrono::seconds kLongestRun{20};

}  // namespace

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

const char* name(Placement placement) {
  switch (placement) {
    case Placement::single: return "single";
    case Placement::near: return "near";
    case Placement::far: return "far";
    case Placement::unclear:
    case Placement::discarded: break;
  }
  return "unclear";
}

Placement placement_of(double probe_before_ns, double probe_after_ns) {
  if (std::max(probe_before_ns, probe_after_ns) < kNearNs) return Placement::near;
  if (std::min(probe_before_ns, probe_after_ns) > kFarNs) return Placement::far;
  return Placement::unclear;
}

TwoCpus::TwoCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return;
  int found = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    (found++ == 0 ? first_ : second_) = cpu;
  }
}

std::uint64_t preemptions() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return static_cast<std::uint64_t>(usage.ru_nivcsw);
}

void TwoCpus::take_first(bool ahead) const {
  pin(first_);
  if (!ahead) return;
  sched_param priority{};
  priority.sched_priority = 1;
  // Refused to ordinary users; runs that were preempted don't count anyway.
  sched_setscheduler(0, SCHED_FIFO, &priority);
}

Timing TwoCpus::together(const std::function<void()>& mine, const std::function<void()>& other) const {
  std::atomic<int> here{0};
  std::int64_t other_end = 0;
  std::uint64_t other_preemptions = 0;
  std::thread thread([&] {
    pin(second_);
    here.fetch_add(1);
    while (here.load(std::memory_order_acquire) < 2) __builtin_ia32_pause();
    const std::uint64_t before = preemptions();
    other();
    other_end = now_ns();
    other_preemptions = preemptions() - before;
  });
  while (here.load(std::memory_order_acquire) < 1) std::this_thread::yield();
  const std::uint64_t before = preemptions();
  const std::int64_t begin = now_ns();
  here.fetch_add(1);
  mine();
  const std::int64_t mine_end = now_ns();
  const std::uint64_t mine_preemptions = preemptions() - before;
  thread.join();
  return {.ns = static_cast<double>(std::max(mine_end, other_end) - begin),
          .preemptions = mine_preemptions + other_preemptions};
}

double TwoCpus::probe_ns() const {
  constexpr std::uint64_t kTrips = 2000;
  struct alignas(128) Line {
    std::atomic<std::uint64_t> value{0};
  } line;
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    line.value = 0;
    const Timing timing = together(
        [&] {
          for (std::uint64_t trip = 0; trip < kTrips; ++trip) {
            line.value.store(2 * trip + 1, std::memory_order_release);
            while (line.value.load(std::memory_order_acquire) != 2 * trip + 2) {
            }
          }
        },
        [&] {
          for (std::uint64_t trip = 0; trip < kTrips; ++trip) {
            while (line.value.load(std::memory_order_acquire) != 2 * trip + 1) {
            }
            line.value.store(2 * trip + 2, std::memory_order_release);
          }
        });
    best = std::min(best, timing.ns / kTrips / 2);
  }
  return best;
}

TwoCpus::Speeds TwoCpus::speeds() const {
  Speeds found{};
  (void)together([&] { found.first = additions_a_ns(); }, [&] { found.second = additions_a_ns(); });
  return found;
}

// ------------------------------------------------------------------------------------------------------------ watchdog

struct Watchdog::State {
  std::function<void()> last_words;
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t meals = 0;
  bool stop = false;
  std::thread thread;

  void watch() {
    std::unique_lock lock(mutex);
    while (!stop) {
      const std::uint64_t seen = meals;
      if (changed.wait_for(lock, kLongestRun, [&] { return stop || meals != seen; })) continue;
      std::fputs("netrx_bench: a run does not end; leaving with what was measured\n", stderr);
      last_words();
      std::_Exit(3);
    }
  }
};

Watchdog::Watchdog(std::function<void()> last_words) : state_(new State) {
  state_->last_words = std::move(last_words);
  state_->thread = std::thread([this] { state_->watch(); });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->changed.notify_one();
  state_->thread.join();
  delete state_;
}

void Watchdog::feed() {
  const std::lock_guard lock(state_->mutex);
  ++state_->meals;
  state_->changed.notify_one();
}

}  // namespace netrx::bench
