// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "driver/live/live_frames_test_support.h"
#include "driver/live/netns_test_support.h"
#include "netrx/devices.h"

namespace netrx {

/// Tests of one kind of device on interfaces of the kernel, each test in a network namespace of its own. Skipped where
/// `missing` says what is.
class LiveDeviceTest : public testing::Test {
 protected:
  LiveDeviceTest(std::string (*missing)(), DeviceCatalog catalog) : missing_(missing), catalog_(std::move(catalog)) {}

  void SetUp() override {
    const std::string missing = missing_();
    if (!missing.empty()) GTEST_SKIP() << "skipped: " << missing;
    enter_new_netns();
  }

  /// A wire between two interfaces: a device goes on v0, v1 is the other end.
  static void lay_wire() {
    if (!IsSkipped()) shell("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
  }

  std::unique_ptr<NetDevice> open(const std::string& spec) const {
    auto device = catalog_.open(spec);
    if (!device) ADD_FAILURE() << device.error().text;
    return device ? std::move(*device) : nullptr;
  }
  std::string refused(const std::string& spec) const {
    const auto device = catalog_.open(spec);
    return device ? "opened" : device.error().text;
  }

  /// Waits for frames as a sleeping CPU does, until there are `wanted` in all queues or two seconds have passed.
  std::vector<FrameBytes> receive(NetDevice& device, std::size_t wanted) {
    std::vector<FrameBytes> frames;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (frames.size() < wanted && std::chrono::steady_clock::now() < deadline) {
      for (std::size_t i = 0; i < device.queue_count(); ++i)
        for (FrameBytes& frame : take_waiting(device.queue(i), *pool_)) frames.push_back(std::move(frame));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return frames;
  }

  std::unique_ptr<PacketPool> pool_ = test_pool(512);

 private:
  std::string (*const missing_)();
  const DeviceCatalog catalog_;
};

}  // namespace netrx
