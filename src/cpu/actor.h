// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <thread>

namespace netrx {

/// Every place of the path where another actor's step can be observed, or where work costs time. One list serves
/// the simulator twice: it may switch actors there, and it charges the cost model there.
enum class Site : std::uint8_t {
  enter_cpu,         // taking a Cpu
  leave_cpu,         // giving it back
  lock,              // before a lock is taken
  unlock,            // after it was released
  relax,             // waiting for another actor
  doorbell_ring,     // an IPI is sent
  doorbell_collect,  // an IPI is received
  sleep,             // between "nothing to do" and falling asleep
  irq,               // a device interrupt is taken
  softirq,           // one pass of do_softirq
  napi_state,        // a read-modify-write of NAPI state bits
  poll,              // one poll step, before the driver is called
  packet,            // per packet taken from a queue
  gro,               // per packet through the GRO stage
  dissect,           // per packet hashed in software
  steer,             // per packet through get_rps_cpu, before the tables are read
  rfs_switch,        // between the look at head[cpu] and the store of the new entry
  enqueue,           // per packet appended to a backlog
  qtail,             // between the enqueue and the store of last_qtail
  splice,            // before process_backlog looks at the input queue under its lock
  deliver,           // per packet handed up
  head_publish,      // between the last hand-up and the store of input_queue_head
  free_packet,       // per packet on its way home
  record_flow,       // an application records its CPU
  publish,           // the control plane swaps a pointer
  vring,             // a virtqueue's index, flag or event is read or written, which the other end does too
  count
};

class Actor;

/// What a simulator plugs in beneath the path; live actors have none and pay one predictable branch per site.
class Interleaver {
 public:
  virtual ~Interleaver() = default;
  /// Charges `n` times the cost of `site` and may let other actors run before it returns.
  virtual void at(Actor& actor, Site site, std::uint32_t n) = 0;
  /// The actor can't go on until another one does something: lets at least one other actor run.
  virtual void relax(Actor& actor) = 0;
};

/// Something that executes: the thread of a cpu, an application thread, the control plane. In the simulator each is a
/// fiber. An Actor belongs to one thread (or fiber) at a time.
class Actor {
 public:
  explicit Actor(Interleaver* interleaver = nullptr) : interleaver_(interleaver) {}

  void at(Site site, std::uint32_t n = 1) {
    if (interleaver_ != nullptr) [[unlikely]]
      interleaver_->at(*this, site, n);
  }

  /// One turn of a waiting loop. Live: a pause, and now and then the time slice, because the one we wait for may
  /// share our core.
  void relax() {
    if (interleaver_ != nullptr) [[unlikely]] {
      interleaver_->relax(*this);
      return;
    }
    if ((++turns_ & 63) == 0)
      std::this_thread::yield();
    else
      __builtin_ia32_pause();
  }

  Interleaver* interleaver() const { return interleaver_; }

 private:
  Interleaver* interleaver_;
  std::uint32_t turns_ = 0;
};

}  // namespace netrx
