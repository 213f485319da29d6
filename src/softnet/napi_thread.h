// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "cpu/doorbell.h"

namespace netrx {

/// The hand that wakes a NAPI's own thread in threaded mode; the executor runs the thread itself. Kernel:
/// napi_struct.thread, the `napi/<dev>-<id>` kthread.
class NapiThread {
 public:
  explicit NapiThread(Waker& waker) : waker_(waker) {}

  void wake() {
    if (doorbell_.ring(kBellKick)) waker_.wake();
  }
  Doorbell& doorbell() { return doorbell_; }

 private:
  Doorbell doorbell_;
  Waker& waker_;
};

}  // namespace netrx
