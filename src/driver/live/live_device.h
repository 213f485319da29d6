// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "driver/live/live_keys.h"
#include "driver/live/live_queue.h"
#include "driver/live/owned_fd.h"
#include "netrx/device.h"

namespace netrx {

/// A device on an interface of this kernel: tells what becomes of the interface and, with reconnect=on, takes another
/// one of its name when it has gone. It is told by what is opened, not by its name, so that a renamed one is the same.
///
/// Thread safety: as NetDevice has it. With reconnect=on a thread of the device's own looks after the interface; it
/// alone opens and closes files, and puts them behind queues that are lost (LiveRxQueue).
class LiveDevice : public NetDevice {
 public:
  std::string_view name() const override { return name_; }
  std::array<std::uint8_t, 6> address() const override;
  bool has_link_header() const override { return ethernet_; }
  std::string remark() const override;

 protected:
  /// `ethernet`: frames begin with a link header, as long as the device lives.
  LiveDevice(std::string interface, const LiveOptions& live, bool ethernet);

  /// At the end of the constructor, and at the beginning of the destructor, of the class that implements what follows.
  void follow();
  void unfollow();

  /// Whether the interface that was opened is gone. By anyone, at any time.
  virtual bool gone() const = 0;
  /// Whether all receive queues have given what came before it went. By the device's thread.
  virtual bool all_lost() const = 0;
  /// Opens the interface anew and lets the queues go on. By the device's thread, when all is lost.
  virtual Result<void> reopen() = 0;
  /// Why the kernel last refused a packet to send, as errno. By anyone.
  virtual int refusal() const = 0;
  /// What else there is to say of the device; empty: nothing.
  virtual std::string more_remarks() const { return {}; }

  const std::string& interface() const { return interface_; }

  LiveLife life_;

 private:
  void look_after();
  void take_again();
  void note_interface();
  std::string state_remark() const;

  const std::string interface_;  ///< what it was called when it was opened, and must be called when it comes back
  const std::string name_;
  const bool ethernet_;
  std::uint32_t mtu_;
  std::atomic<unsigned> index_{0};
  std::atomic<std::uint64_t> address_{0};  ///< its bytes; read once a poll
  std::atomic<std::uint32_t> returns_{0};
  mutable std::mutex mutex_;
  std::string why_not_;  ///< it was not taken again, under the mutex
  OwnedFd stop_;         ///< an eventfd
  std::thread thread_;
};

/// The same with its queues.
template <class Rx, class Tx>
class LiveDeviceOf : public LiveDevice {
 public:
  std::size_t queue_count() const override { return rx_.size(); }
  RxQueue& queue(std::size_t index) override { return *rx_[index]; }
  std::size_t tx_queue_count() const override { return tx_.size(); }
  TxQueue& tx_queue(std::size_t index) override { return *tx_[index]; }

 protected:
  using LiveDevice::LiveDevice;

  bool gone() const override { return !tx_.front()->attached(); }
  bool all_lost() const override {
    return std::ranges::all_of(rx_, [](const auto& queue) { return queue->lost(); });
  }
  int refusal() const override {
    for (const auto& queue : tx_)
      if (queue->trouble() != 0) return queue->trouble();
    return 0;
  }

  std::vector<std::unique_ptr<Rx>> rx_;
  std::vector<std::unique_ptr<Tx>> tx_;  ///< never empty
};

}  // namespace netrx
