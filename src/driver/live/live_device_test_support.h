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
    if (!IsSkipped()) shell(kLayWire);
  }
  static constexpr const char* kLayWire =
      "ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up";

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

  /// Polls all queues, and drops what comes, until it is so; false: it was not within 20 seconds.
  template <class Condition>
  bool poll_until(NetDevice& device, const Condition& so) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!so() && std::chrono::steady_clock::now() < deadline) {
      for (std::size_t i = 0; i < device.queue_count(); ++i) take_waiting(device.queue(i), *pool_);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return so();
  }
  bool says(const NetDevice& device, const std::string& words) const {
    return device.remark().find(words) != std::string::npos;
  }

  /// An interface of the kernel with a device on it.
  struct Place {
    std::string make;       ///< the command
    std::string interface;  ///< which the device is on
    std::string peer;       ///< where frames for it are sent, and what it sends arrives
  };

  void expect_frames_both_ways(NetDevice& device, const Place& place) {
    wait_until_running(place.interface);
    wait_until_running(place.peer);
    RawSocket peer(place.peer);
    std::vector<FrameBytes> sent;
    for (std::uint32_t i = 0; i < 200; ++i) {
      peer.send(sent.emplace_back(live_frame(i)));
      if (i % 50 != 49) continue;
      EXPECT_EQ(receive(device, 50), std::vector<FrameBytes>(sent.end() - 50, sent.end())) << i;
    }
    for (std::uint32_t i = 0; i < 100; ++i) {
      OwnPacket packet(live_frame(i));
      send_all(device.tx_queue(0), std::array{&packet.packet});
      EXPECT_EQ(peer.receive(), live_frame(i)) << i;
    }
  }

  /// The interface goes, and one of its name comes: what had come before is received, packets that are out stay what
  /// they are, and the device goes on.
  void expect_to_survive_deletion(const std::string& spec, const Place& place) {
    const auto device = open(spec);
    PacketBatch held;
    for (std::uint32_t i = 0; i < 5; ++i) RawSocket(place.peer).send(live_frame(i));
    ASSERT_TRUE(poll_until_held(*device, held, 5));
    for (int round = 1; round <= 3; ++round) {
      for (std::uint32_t i = 0; i < 10; ++i) RawSocket(place.peer).send(live_frame(i));
      shell("ip link del " + place.interface);
      EXPECT_TRUE(
          poll_until(*device, [&] { return says(*device, "is gone; it will be taken again when it is back"); }));
      OwnPacket packet(live_frame(1));
      PacketBatch done;
      const std::size_t taken = device->tx_queue(0).xmit(std::array{&packet.packet});
      EXPECT_EQ(device->tx_queue(0).xmit_done(done), taken);
      done.released();

      shell(place.make);
      const std::string back =
          "was gone and was taken again" + (round > 1 ? ", " + std::to_string(round) + " times" : "");
      ASSERT_TRUE(poll_until(*device, [&] { return device->remark() == place.interface + " " + back; }))
          << device->remark();
      expect_frames_both_ways(*device, place);
    }
    std::uint64_t last = 0;
    for (std::uint32_t i = 0; i < 5; ++i) {
      EXPECT_EQ(bytes_of(*held[i]), live_frame(i)) << "it was out all the time";
      last = held[i]->rx_seq;
    }
    end_packets(*pool_, held);
    RawSocket(place.peer).send(live_frame(1));
    ASSERT_TRUE(poll_until_held(*device, held, 1));
    EXPECT_GE(held[0]->rx_seq, last + 3 * 200) << "positions never repeat";
    end_packets(*pool_, held);
    EXPECT_EQ(pool_->idle(), pool_->capacity());
  }

  bool poll_until_held(NetDevice& device, PacketBatch& held, std::size_t wanted) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (held.size() < wanted && std::chrono::steady_clock::now() < deadline) {
      PollContext context{steady_now(), *pool_};
      device.queue(0).poll(context, held, wanted - held.size());
    }
    return held.size() == wanted;
  }

  std::unique_ptr<PacketPool> pool_ = test_pool(512);

 private:
  std::string (*const missing_)();
  const DeviceCatalog catalog_;
};

}  // namespace netrx
