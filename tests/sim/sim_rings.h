// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "base/prng.h"
#include "sim/machine.h"

/// What the rings and queues of virtio stand on in virtual time: the same templates that programs run, with memory
/// whose every protocol word is a place to give way at, a mutex that waits in virtual time, and events that wake tasks.
namespace netrx::simtest {

/// The machine whose tasks stand at both ends, and how it dwells between two looks at a ring. One at a time.
class RingStage {
 public:
  RingStage(SimMachine& machine, std::uint64_t seed, std::uint32_t stall_ppm, Nanos stall)
      : machine_(machine), prng_(seed), stall_ppm_(stall_ppm), stall_(stall) {
    now_ = this;
  }
  ~RingStage() {
    if (now_ == this) now_ = nullptr;
  }
  RingStage(const RingStage&) = delete;
  RingStage& operator=(const RingStage&) = delete;

  static RingStage& get() { return *now_; }

  /// Here the other end may go on, and does when this one is held up.
  void at() {
    SimTask* me = machine_.current();
    if (me == nullptr || looking_ != 0) return;
    machine_.at(me->actor, Site::vring, 1);
    if (stall_ppm_ != 0 && prng_.chance_ppm(stall_ppm_))
      machine_.work(Nanos(prng_.below(static_cast<std::uint64_t>(stall_.count()) + 1)));
  }
  void relax() { machine_.relax(machine_.current()->actor); }
  SimMachine& machine() { return machine_; }

  /// While it lives, rings are looked at without taking a turn: a judge's.
  class Look {
   public:
    Look() { ++get().looking_; }
    ~Look() { --get().looking_; }
    Look(const Look&) = delete;
    Look& operator=(const Look&) = delete;
  };

 private:
  inline static RingStage* now_ = nullptr;
  SimMachine& machine_;
  Prng prng_;
  const std::uint32_t stall_ppm_;
  const Nanos stall_;
  int looking_ = 0;
};

/// The rings' memory. Between any two accesses of a protocol word (an index, flags, an event, or a word that has flags
/// in it) the other end may act. What a descriptor says besides, in plain words of 32 and 64 bits, is shown and taken
/// by them.
struct SimMemory {
  template <class T>
  static void at() {
    if constexpr (sizeof(T) == 2 || !std::is_integral_v<T>) RingStage::get().at();
  }
  template <class T>
  static T load(const T* from) {
    at<T>();
    return *from;
  }
  template <class T>
  static T load_acquire(const T* from) {
    return load(from);
  }
  template <class T>
  static void store(T* to, T value) {
    at<T>();
    *to = value;
  }
  template <class T>
  static void store_release(T* to, T value) {
    store(to, value);
  }
  static void fence() {}  // every store is seen at once
};

struct SimEvent {
  bool set = false;
  std::function<void()> wake;
};

/// For vhost::BasicRxSide.
struct SimHost {
  class Mutex {
   public:
    void lock() {
      while (held_) RingStage::get().relax();
      held_ = true;
    }
    void unlock() { held_ = false; }

   private:
    bool held_ = false;
  };
  using Event = std::shared_ptr<SimEvent>;
  static Event make_event() { return std::make_shared<SimEvent>(); }
  static void signal(const Event& event) {
    event->set = true;
    if (event->wake) event->wake();
  }
  static bool drain(const Event& event) { return std::exchange(event->set, false); }
  static int fd(const Event&) { return -1; }
};

}  // namespace netrx::simtest
