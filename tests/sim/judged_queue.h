// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "netrx/packet.h"
#include "netrx/time.h"

namespace netrx::simtest {

/// What a queue under the judge tells of itself. Called when nobody runs, so it takes no time and no turn.
class JudgedQueue {
 public:
  virtual ~JudgedQueue() = default;

  /// Told of every packet that goes up.
  std::function<void(const Packet&)> on_received;

  virtual bool masked() const = 0;
  virtual bool due(Nanos now) = 0;              ///< frames are there
  virtual bool would_interrupt(Nanos now) = 0;  ///< and will be announced
  virtual Nanos next_arrival() = 0;             ///< when a CPU must look by itself; kNever: it will be told
  /// Why nothing will ever come out of it again though there is something; empty: all well.
  virtual std::string stuck() { return {}; }
};

}  // namespace netrx::simtest
