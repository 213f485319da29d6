// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netrx/time.h"

namespace netrx::cli {

/// SIGINT and SIGTERM as something to wait for. Made before any other thread, so that all of them leave the signals
/// to it. The first one is reported; from then on they end the process at once, as usual.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// Waits until a signal comes or the time is over; the signal's number, or 0.
  int wait(Nanos at_most);

 private:
  int fd_;
};

}  // namespace netrx::cli
