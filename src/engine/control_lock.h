// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>

#include "cpu/turnstile.h"

namespace netrx {

/// The lock of the control plane. Live it is a mutex; in simulation all threads are fibers of one, where a mutex would
/// wait for ever, so that turns are taken instead.
class ControlLock {
 public:
  void lock() {
    if (simulated_ == nullptr)
      mutex_.lock();
    else
      turns_.enter(*simulated_);
  }
  void unlock() {
    if (simulated_ == nullptr)
      mutex_.unlock();
    else
      turns_.leave();
  }

  /// From here on fibers take it, waiting as `actor`; null: threads again. Nobody holds it.
  void simulate(Actor* actor) { simulated_ = actor; }

 private:
  std::mutex mutex_;
  Turnstile turns_;
  Actor* simulated_ = nullptr;
};

}  // namespace netrx
