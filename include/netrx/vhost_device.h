// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "netrx/device.h"
#include "netrx/error.h"
#include "netrx/time.h"

namespace netrx {

/// What a virtio-net device made of software offers its driver.
struct VhostDeviceOptions {
  std::string socket;      ///< where the driver is met
  bool connect = false;    ///< connect to a driver that listens there, instead of listening
  std::size_t queues = 1;  ///< queue pairs offered, at most 64
  bool packed = true;      ///< offers packed rings
  bool mrg_rxbuf = true;   ///< offers packets over several buffers
  bool event_idx = true;   ///< offers event indices
  bool in_order = true;    ///< offers to keep the order of buffers, as it does anyway
  bool echo = false;       ///< what the driver sends comes back to it
  bool forward = false;    ///< what the driver sends, the source sends: a tap, for example
  std::size_t frame_size = 2048;
};

/// What it did. Frames "to" and "from" are the driver's.
struct VhostDeviceStats {
  std::uint64_t connections = 0;
  std::uint64_t to_packets = 0;
  std::uint64_t to_bytes = 0;
  std::uint64_t to_refused = 0;  ///< longer than the driver's buffers, or with contents its header can't tell
  std::uint64_t from_packets = 0;
  std::uint64_t from_bytes = 0;
  std::uint64_t from_malformed = 0;  ///< chains that held no frame
  std::uint64_t echo_dropped = 0;    ///< no buffer was there for them
  std::uint64_t forwarded = 0;
  std::uint64_t forward_dropped = 0;  ///< the source was full, or they asked for what was not offered
  std::uint64_t calls = 0;            ///< interrupts
  std::uint64_t kicks = 0;            ///< wake-ups by the driver
  std::string trouble;                ///< why the last connection ended, unless the driver just went
};

/// A virtio-net device over vhost-user, which plays another device's frames to whatever driver attaches: netrx's own,
/// DPDK's virtio-user, a guest of QEMU. Frames wait while no driver is there or it has posted no buffers; none is lost.
/// The driver is not trusted.
///
/// Thread rules: one thread at a time.
class VhostDevice {
 public:
  /// Queue i of `source` plays into receive queue i. EADDRINUSE, EEXIST, ...: the socket can't be had. EOPNOTSUPP: it
  /// is to forward, and the source sends nothing.
  static Result<std::unique_ptr<VhostDevice>> create(const VhostDeviceOptions& options,
                                                     std::unique_ptr<NetDevice> source);
  ~VhostDevice();
  VhostDevice(const VhostDevice&) = delete;
  VhostDevice& operator=(const VhostDevice&) = delete;

  /// Works for a while, or waits at most so long for something to do. False: the source has ended and the driver was
  /// given everything.
  bool step(Nanos at_most);

  const VhostDeviceStats& stats() const;
  /// The source's remark.
  std::string remark() const;

 private:
  struct State;
  explicit VhostDevice(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace netrx
