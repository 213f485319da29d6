// SPDX-License-Identifier: Apache-2.0
// The rings themselves, not a model of them, under every schedule of a driver and a device that sleep whenever they
// may: each access to the shared memory is a place where the other end may go on, up to a number of preemptions. Stores
// take effect at once, or as late as x86 lets them: in order, but only at a full barrier or a system call. A wake-up
// that is lost leaves both asleep with buffers between them. Without the full barriers the same search must find that.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "host/fiber.h"
#include "virtio/packed_device.h"
#include "virtio/ring_pair_test_support.h"
#include "virtio/split_device.h"
#include "virtio/split_driver.h"

namespace netrx::virtio {
namespace {

enum class Stores : std::uint8_t { at_once, late };

/// Two flows of control and the schedule that is being tried.
class Stage {
 public:
  struct Store {
    void* to;
    std::size_t bytes;
    std::uint64_t value;
  };
  struct Actor {
    std::unique_ptr<Fiber> fiber;
    std::deque<Store> buffered;
    bool* waits_for = nullptr;  ///< asleep until it is true
    bool ended = false;
  };

  Stage(std::uint32_t preemptions, Stores stores) : preemptions_(preemptions), stores_(stores) {}

  /// Runs both bodies under one schedule. False: both sleep and will for ever.
  template <class Body>
  bool run(FiberStacks& stacks, std::array<Body, 2> bodies) {
    actors_ = {};
    used_ = 0;
    depth_ = 0;
    stuck_ = false;
    for (std::size_t i = 0; i < 2; ++i)
      actors_[i].fiber = std::make_unique<Fiber>(stacks, [this, i, body = bodies[i]]() -> Fiber& {
        body();
        flush(actors_[i]);
        actors_[i].ended = true;
        return next();
      });
    current_ = 0;
    main_.switch_to(*actors_[0].fiber);
    current_ = kNobody;
    return !stuck_;
  }

  bool next_schedule() {
    while (!path_.empty() && path_.back().taken + 1 == path_.back().options) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().taken;
    return true;
  }

  // What the rings do.
  template <class T>
  T load(const T* from) {
    if (current_ == kNobody) return *from;
    step();
    T value = *from;
    for (const Store& store : actors_[current_].buffered)
      if (store.to == from && store.bytes == sizeof(T)) std::memcpy(&value, &store.value, sizeof value);
    return value;
  }
  template <class T>
  void store(T* to, T value) {
    if (current_ == kNobody || stores_ == Stores::at_once) {
      if (current_ != kNobody) step();
      *to = value;
      return;
    }
    Store late{to, sizeof(T), 0};
    std::memcpy(&late.value, &value, sizeof value);
    actors_[current_].buffered.push_back(late);
  }
  void fence() {
    if (current_ != kNobody) flush(actors_[current_]);
  }

  /// Sleeps until `flag`, and takes it.
  void wait(bool& flag) {
    Actor& me = actors_[current_];
    flush(me);
    if (!flag) {
      me.waits_for = &flag;
      Fiber& to = next();
      if (&to != me.fiber.get()) me.fiber->switch_to(to);
      me.waits_for = nullptr;
    }
    flag = false;
  }
  /// A system call that wakes.
  void signal(bool& flag) {
    flush(actors_[current_]);
    step();
    flag = true;
  }

 private:
  static constexpr std::size_t kNobody = 2;
  struct Choice {
    std::uint8_t options, taken;
  };

  static void flush(Actor& actor) {
    for (const Store& store : actor.buffered) std::memcpy(store.to, &store.value, store.bytes);
    actor.buffered.clear();
  }
  bool runnable(std::size_t i) const {
    return !actors_[i].ended && (actors_[i].waits_for == nullptr || *actors_[i].waits_for);
  }

  /// Here the other may go on.
  void step() {
    const std::size_t other = 1 - current_;
    if (used_ == preemptions_ || !runnable(other)) return;
    if (depth_ == path_.size()) path_.push_back({2, 0});
    if (path_[depth_++].taken == 0) return;
    ++used_;
    Fiber& me = *actors_[current_].fiber;
    current_ = other;
    me.switch_to(*actors_[other].fiber);
  }

  /// Where to go when the current one ends or sleeps.
  Fiber& next() {
    for (const std::size_t i : {1 - current_, current_}) {
      if (!runnable(i)) continue;
      current_ = i;
      return *actors_[i].fiber;
    }
    stuck_ = !actors_[0].ended || !actors_[1].ended;
    return main_;
  }

  const std::uint32_t preemptions_;
  const Stores stores_;
  Fiber main_;
  std::array<Actor, 2> actors_;
  std::size_t current_ = kNobody;
  std::uint32_t used_ = 0;
  std::size_t depth_ = 0;
  bool stuck_ = false;
  std::vector<Choice> path_;
};

/// The memory policy of the rings under test.
template <bool fences>
struct StagedMemory {
  inline static Stage* stage = nullptr;

  template <class T>
  static T load(const T* from) {
    return stage->load(from);
  }
  template <class T>
  static T load_acquire(const T* from) {
    return stage->load(from);
  }
  template <class T>
  static void store(T* to, T value) {
    stage->store(to, value);
  }
  template <class T>
  static void store_release(T* to, T value) {
    stage->store(to, value);
  }
  static void fence() {
    if (fences) stage->fence();
  }
};

/// A driver that posts kBuffers through a ring that is smaller, and a device that gives each back.
template <class Memory>
class World {
 public:
  static constexpr std::uint32_t kBuffers = 4;

  World(Stage& stage, const RingSetup& setup) : stage_(stage), memory_(setup, 4096) {
    Memory::stage = &stage;
    if (setup.kind == RingKind::packed) {
      driver_ = std::make_unique<BasicPackedDriver<Memory>>(setup, memory_.ring());
      device_ = std::make_unique<BasicPackedDevice<Memory>>(setup, memory_.ring(), memory_.guest(), std::nullopt);
    } else {
      driver_ = std::make_unique<BasicSplitDriver<Memory>>(setup, memory_.ring());
      device_ = std::make_unique<BasicSplitDevice<Memory>>(setup, memory_.ring(), memory_.guest(), std::nullopt);
    }
  }

  /// As virtnet_poll does it: take, refill, unmask, look again, sleep.
  void driver() {
    std::uint32_t posted = 0;
    while (received < kBuffers) {
      UsedBuffer used{};
      while (driver_->get({&used, 1}) == 1) {
        EXPECT_EQ(used.token, received);
        EXPECT_EQ(used.length, received + 1);
        ++received;
      }
      bool added = false;
      for (; posted < kBuffers; ++posted, added = true) {
        const Posting buffer{memory_.frames_address() + 64 * posted, 64, posted};
        if (driver_->post({&buffer, 1}, Direction::device_writes) == 0) break;
      }
      if (added && driver_->kick_prepare()) stage_.signal(kicked_);
      if (received == kBuffers) return;
      const std::uint32_t cookie = driver_->enable_cb_prepare();
      if (!driver_->poll(cookie)) {
        stage_.wait(called_);
        driver_->note_interrupt();
      }
      driver_->disable_cb();
    }
  }

  void device() {
    device_->disable_kicks();
    Chain chain;
    for (std::uint32_t given = 0; given < kBuffers;) {
      if (device_->take(chain)) {
        device_->complete(chain, ++given);
        if (device_->call_prepare()) stage_.signal(called_);
        continue;
      }
      if (!device_->enable_kicks()) stage_.wait(kicked_);
      device_->disable_kicks();
    }
  }

  bool intact() const { return driver_->fault() == RingFault::none && device_->fault() == RingFault::none; }
  std::uint32_t received = 0;

 private:
  Stage& stage_;
  TestMemory memory_;
  std::unique_ptr<DriverRing> driver_;
  std::unique_ptr<DeviceRing> device_;
  bool kicked_ = false, called_ = false;
};

struct Found {
  std::uint64_t schedules = 0;
  bool lost = false;
};

template <class Memory>
Found explore(const RingSetup& setup, std::uint32_t preemptions, Stores stores) {
  FiberStacks stacks;
  Stage stage(preemptions, stores);
  Found found;
  do {
    ++found.schedules;
    World<Memory> world(stage, setup);
    const std::array<std::function<void()>, 2> bodies{[&] { world.driver(); }, [&] { world.device(); }};
    found.lost = !stage.run(stacks, bodies) || world.received != World<Memory>::kBuffers || !world.intact();
  } while (!found.lost && stage.next_schedule());
  return found;
}

std::vector<RingSetup> setups() {
  std::vector<RingSetup> all;
  for (const RingKind kind : {RingKind::split, RingKind::packed})
    for (const bool event_idx : {false, true})
      all.push_back(
          {.kind = kind, .size = static_cast<std::uint16_t>(kind == RingKind::packed ? 3 : 2), .event_idx = event_idx});
  return all;
}

TEST(RingInterleavings, NoWakeUpAndNoBufferIsLost) {
  for (const RingSetup& setup : setups()) {
    for (const Stores stores : {Stores::at_once, Stores::late}) {
      const Found found = explore<StagedMemory<true>>(setup, 3, stores);
      EXPECT_FALSE(found.lost) << name_of(setup) << " schedule " << found.schedules;
      std::printf("%s, stores %s: %llu schedules\n", name_of(setup).c_str(),
                  stores == Stores::late ? "late" : "at once", static_cast<unsigned long long>(found.schedules));
    }
  }
}

TEST(RingInterleavings, WithoutTheFullBarriersOneIsLost) {
  for (const RingSetup& setup : setups()) {
    const Found found = explore<StagedMemory<false>>(setup, 3, Stores::late);
    EXPECT_TRUE(found.lost) << name_of(setup) << ": " << found.schedules << " schedules, and nothing was found";
  }
}

}  // namespace
}  // namespace netrx::virtio
