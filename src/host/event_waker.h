// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "cpu/doorbell.h"
#include "netrx/error.h"
#include "netrx/time.h"

namespace netrx {

/// Lets one thread sleep until it is woken, a file becomes readable, or time is over. eventfd and ppoll.
///
/// Thread safety: wake() from anywhere; sleep() from the one sleeper. A wake() before sleep() is not lost.
class EventWaker : public Waker {
 public:
  EventWaker();
  ~EventWaker() override;
  EventWaker(const EventWaker&) = delete;
  EventWaker& operator=(const EventWaker&) = delete;

  void wake() override;

  /// `fds` are watched too; kNever sleeps without a limit.
  void sleep(Nanos at_most, std::span<const int> fds = {});

 private:
  const int fd_;
};

}  // namespace netrx
