// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "driver/wrapped_device.h"
#include "netrx/devices.h"
#include "netrx/time.h"

namespace netrx {

/// What goes wrong with a link's frames. Shares are parts in a million of the frames that come in.
struct FaultOptions {
  std::uint32_t loss = 0;
  std::uint32_t duplicate = 0;
  std::uint32_t corrupt = 0;  ///< one bit of the frame flipped
  std::uint32_t reorder = 0;  ///< held back until `gap` later frames have passed
  std::uint32_t gap = 3;
  std::uint32_t delayed = 0;  ///< held back for `delay`
  Nanos delay{0};
  std::uint32_t hold = 256;  ///< frames that each queue holds back of either kind, at most
  std::uint64_t seed = 1;

  /// The longest that a reordered frame waits for others to pass it.
  static constexpr Nanos kReorderWait = std::chrono::milliseconds(1);
};

/// What went wrong so far.
struct FaultCounts {
  std::uint64_t received = 0;  ///< from the device behind
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t not_duplicated = 0;  ///< should have been, but the pool had no packet or only too small ones
  std::uint64_t corrupted = 0;
  std::uint64_t reordered = 0;
  std::uint64_t delayed = 0;
  std::uint64_t held = 0;  ///< now
};

class FaultQueue;

/// Middleware that treats frames as a bad link does. What becomes of a queue's n-th frame depends on the seed, the
/// queue's index and n alone. Nothing is lost but what `loss` says: received + duplicated = lost + held + given out.
/// Frames held back keep their packets; when too many are held, the device behind is not polled until some are out.
class FaultDevice final : public WrappedDevice {
 public:
  FaultDevice(std::unique_ptr<NetDevice> inner, const FaultOptions& options);
  FaultCounts counts(std::size_t queue) const;
  std::string remark() const override;

 private:
  std::vector<const FaultQueue*> fault_queues_;  ///< the same as queues_
};

DeviceKind fault_device_kind();

}  // namespace netrx
