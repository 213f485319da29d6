// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netrx/time.h"

namespace netrx {

/// Where time comes from; read once a poll, never once a packet.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Nanos now() = 0;
};

}  // namespace netrx
