// SPDX-License-Identifier: Apache-2.0
#pragma once

// Runs our own templates under Relacy, which explores interleavings *and* what the C++ memory model lets a load
// return. Tests only.
//
//   struct RingAndSleep : rl::test_suite<RingAndSleep, 2> { BasicDoorbell<ModelAtomic> doorbell; ... };
//   EXPECT_TRUE(holds<RingAndSleep>(every_interleaving()));
//   EXPECT_TRUE(breaks<RingAndSleepBroken>(every_interleaving()));   // a check that can't fail shows nothing
//
// Relacy swaps stacks and replaces operator new, which the sanitizers can't follow: NETRX_RELACY is 0 there and the
// models are left out.

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NETRX_RELACY 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define NETRX_RELACY 0
#endif
#endif
#if !defined(NETRX_RELACY)
#define NETRX_RELACY 1
#endif

#if NETRX_RELACY

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wdollar-in-identifier-extension"  // relacy names its thread-local `$`
#endif

#include <atomic>
#include <cstdint>
#include <iostream>
#include <source_location>

#include "cpu/actor.h"

// Last, because it turns `new`, `memory_order_relaxed` and others into macros.
#include <relacy/relacy.hpp>
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef memory_order_relaxed
#undef memory_order_consume
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst

namespace netrx::model {

enum class Orders { as_written, all_relaxed };

/// std::atomic's interface over rl::atomic. A history names the line of the code under test, not one here.
template <class T, Orders orders>
class Atomic {
 public:
  using Where = std::source_location;

  Atomic() : Atomic(T{}) {}
  explicit Atomic(T value) { value_.store(value, rl::mo_relaxed, {}); }

  T load(std::memory_order order, Where where = Where::current()) const {
    return value_.load(model(order), info(where));
  }
  void store(T value, std::memory_order order, Where where = Where::current()) {
    value_.store(value, model(order), info(where));
  }
  T exchange(T value, std::memory_order order, Where where = Where::current()) {
    return value_.exchange(value, model(order), info(where));
  }
  T fetch_add(T value, std::memory_order order, Where where = Where::current()) {
    return value_.fetch_add(value, model(order), info(where));
  }
  T fetch_or(T value, std::memory_order order, Where where = Where::current()) {
    return value_.fetch_or(value, model(order), info(where));
  }
  T fetch_and(T value, std::memory_order order, Where where = Where::current()) {
    return value_.fetch_and(value, model(order), info(where));
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order success, std::memory_order failure,
                               Where where = Where::current()) {
    return value_.compare_exchange_strong(expected, desired, model(success), info(where), model(failure), info(where));
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success, std::memory_order failure,
                             Where where = Where::current()) {
    return value_.compare_exchange_weak(expected, desired, model(success), info(where), model(failure), info(where));
  }

 private:
  static rl::memory_order model(std::memory_order order) {
    if constexpr (orders == Orders::all_relaxed) return rl::mo_relaxed;
    switch (order) {
      case std::memory_order::relaxed: return rl::mo_relaxed;
      case std::memory_order::consume: return rl::mo_consume;
      case std::memory_order::acquire: return rl::mo_acquire;
      case std::memory_order::release: return rl::mo_release;
      case std::memory_order::acq_rel: return rl::mo_acq_rel;
      case std::memory_order::seq_cst: break;
    }
    return rl::mo_seq_cst;
  }
  static rl::debug_info info(const Where& where) { return {where.function_name(), where.file_name(), where.line()}; }

  rl::atomic<T> value_;
};

template <class T>
using ModelAtomic = Atomic<T, Orders::as_written>;

/// The same code with every order weakened to relaxed: what the orders are for breaks.
template <class T>
using RelaxedAtomic = Atomic<T, Orders::all_relaxed>;

/// An actor of a model: where live code pauses, another thread of the model runs.
class ModelInterleaver final : public Interleaver {
 public:
  void at(Actor&, Site, std::uint32_t) override {}
  void relax(Actor&) override { rl::yield(1, $); }
};

/// The role of an eventfd: wakes are counted, a sleep takes one. A wake-up that never comes is a deadlock, which
/// Relacy reports.
class ModelWaker {
 public:
  void init() { semaphore_.init(false, 0, 100, $); }
  void deinit() { semaphore_.deinit($); }
  void wake() { semaphore_.signal($); }
  void sleep() { semaphore_.wait(false, false, $); }
  void sleep_or_time_out() { semaphore_.wait(false, true, $); }
  bool surplus() { return semaphore_.get_value($) != 0; }

 private:
  rl::semaphore<ModelWaker> semaphore_;
};

struct Search {
  rl::scheduler_type_e kind;
  unsigned bound;  ///< switches away from a thread that could go on; for sched_bound
  std::uint64_t iterations;
};
inline Search every_interleaving() { return {rl::sched_full, 0, 0}; }
inline Search preemptions(unsigned bound) { return {rl::sched_bound, bound, 0}; }
inline Search random_walks(std::uint64_t iterations) { return {rl::sched_random, 0, iterations}; }

inline constexpr std::size_t kHistoryShown = 20'000;  ///< characters

template <class Model>
rl::test_result_e explore(const Search& search, rl::string& history) {
  rl::ostringstream out;  // its memory must not come from the model's operator new
  rl::ostringstream progress;
  rl::test_params params;
  params.search_type = search.kind;
  params.context_bound = search.bound;
  if (search.iterations != 0) params.iteration_count = search.iterations;
  params.execution_depth_limit = 1000;
  params.output_stream = &out;
  params.progress_stream = &progress;
  rl::simulate<Model>(params);
  history = out.str();
  std::cout << "  " << params.stop_iteration << " interleavings: " << rl::test_result_str(params.test_result) << '\n';
  return params.test_result;
}

/// No interleaving of the search breaks the model; prints one that does.
template <class Model>
bool holds(const Search& search) {
  rl::string history;
  const bool good = explore<Model>(search, history) == rl::test_result_success;
  if (!good) std::cout << history.substr(0, kHistoryShown);
  return good;
}

/// The search finds the bug that was put into the model, and it is of the expected kind.
template <class Model>
bool breaks(const Search& search, rl::test_result_e how) {
  rl::string history;
  const bool found = explore<Model>(search, history) == how;
  if (!found) std::cout << history.substr(0, kHistoryShown);
  return found;
}

}  // namespace netrx::model

#endif  // NETRX_RELACY
