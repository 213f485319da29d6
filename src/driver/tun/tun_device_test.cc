// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "driver/live/interface.h"
#include "driver/live/live_device_test_support.h"
#include "netrx/devices.h"
#include "netrx/gso.h"

namespace netrx {
namespace {

using testing::HasSubstr;

class TunDeviceTest : public LiveDeviceTest {
 protected:
  TunDeviceTest() : LiveDeviceTest(missing_for_tun, DeviceCatalog::builtin()) {}
  std::vector<FrameBytes> take(RxQueue& queue) { return take_waiting(queue, *pool_); }
};

TEST_F(TunDeviceTest, WhatItSendsTheKernelReceives) {
  for (const bool vnet_hdr : {true, false}) {
    const auto device = open(std::string("tap:t0,vnet_hdr=") + (vnet_hdr ? "on" : "off"));
    RawSocket kernel("t0");
    OwnPacket small(live_frame(1)), tagged(live_frame(2));
    tagged.packet.vlan_present = true;
    tagged.packet.vlan_proto = kEthP8021q;
    tagged.packet.vlan_tci = 0x2005;
    send_all(device->tx_queue(0), std::array{&small.packet, &tagged.packet});
    EXPECT_EQ(kernel.receive(), live_frame(1));
    // The socket sees the kernel's view: the tag is out of band there, and the bytes are the rest.
    EXPECT_EQ(kernel.receive(), live_frame(2));
    EXPECT_EQ(device->tx_queue(0).stats().tx_packets.load(), 2u);
    EXPECT_EQ(device->tx_queue(0).stats().tx_errors.load(), 0u);
  }
}

TEST_F(TunDeviceTest, LargePacketsCrossWholeBothWays) {
  const auto device = open("tap:t0");
  EXPECT_TRUE(device->tx_features().tcp_segmentation);
  VirtioNetHdr header;
  const FrameBytes large = large_segment(20'000, header);

  RawSocket kernel("t0", true);
  kernel.send(behind_header(header, large));
  PacketBatch batch;
  PollContext context{Nanos{1}, *pool_};
  ASSERT_EQ(device->queue(0).poll(context, batch, 64), 1u);
  const Packet& packet = *batch[0];
  EXPECT_EQ(bytes_of(packet), large);
  EXPECT_EQ(packet.gso_size, 1448u);
  EXPECT_EQ(packet.gso_type & kGsoTcpv4, std::uint32_t{kGsoTcpv4});
  EXPECT_EQ(packet.ip_summed, IpSummed::partial);
  EXPECT_GT(packet.data_len, 0u) << "more than a packet's own buffer";

  send_all(device->tx_queue(0), batch.packets());
  end_packets(*pool_, batch);
  EXPECT_EQ(pool_->idle(), pool_->capacity());
  const FrameBytes back = kernel.receive();
  ASSERT_EQ(back.size(), sizeof header + large.size());
  EXPECT_EQ(std::memcmp(back.data() + sizeof header, large.data(), large.size()), 0);
  VirtioNetHdr told;
  std::memcpy(&told, back.data(), sizeof told);
  EXPECT_EQ(told.gso_type, VirtioNetHdr::kGsoTcpv4);
  EXPECT_EQ(told.gso_size, 1448u);
  EXPECT_EQ(told.flags & VirtioNetHdr::kNeedsCsum, VirtioNetHdr::kNeedsCsum);
}

TEST_F(TunDeviceTest, WithoutVnetHdrTheKernelCutsAndSums) {
  const auto device = open("tap:t0,vnet_hdr=off");
  EXPECT_FALSE(device->tx_features().tcp_segmentation);
  VirtioNetHdr header;
  const FrameBytes large = large_segment(3000, header);
  RawSocket("t0", true).send(behind_header(header, large));
  const std::vector<FrameBytes> frames = take(device->queue(0));
  ASSERT_EQ(frames.size(), 3u);
  FrameBytes payload;
  for (const FrameBytes& frame : frames) {
    const std::span<const std::uint8_t> segment = std::span(frame).subspan(34);
    const std::uint32_t pseudo =
        wire::csum_pseudo_header(std::span(frame).subspan(26, 8), 6, static_cast<std::uint32_t>(segment.size()));
    EXPECT_TRUE(wire::csum_ok(segment, pseudo));
    payload.insert(payload.end(), frame.begin() + 54, frame.end());
  }
  EXPECT_EQ(payload, FrameBytes(large.begin() + 54, large.end()));
}

TEST_F(TunDeviceTest, SeveralQueuesShareTheInterfacesFlows) {
  const auto device = open("tap:t0,queues=4");
  ASSERT_EQ(device->queue_count(), 4u);
  ASSERT_EQ(device->tx_queue_count(), 4u);
  RawSocket kernel("t0");
  for (std::uint32_t i = 0; i < 200; ++i) kernel.send(live_frame(i));
  std::size_t frames = 0, used = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t got = take(device->queue(i)).size();
    frames += got;
    used += got != 0;
  }
  EXPECT_EQ(frames, 200u);
  EXPECT_GT(used, 1u);
  for (std::size_t i = 0; i < 4; ++i) {
    OwnPacket packet(live_frame(static_cast<std::uint32_t>(i)));
    send_all(device->tx_queue(i), std::array{&packet.packet});
    EXPECT_EQ(kernel.receive(), live_frame(static_cast<std::uint32_t>(i)));
  }
}

TEST_F(TunDeviceTest, TakesInterfacesThatExistAsTheyWereMade) {
  shell("ip tuntap add solo mode tap && ip tuntap add many mode tap multi_queue && ip tuntap add l3 mode tun");
  EXPECT_EQ(open("tap:solo")->queue_count(), 1u);
  EXPECT_EQ(open("tap:many")->queue_count(), 1u);
  EXPECT_EQ(open("tap:many,queues=3")->queue_count(), 3u);
  EXPECT_FALSE(open("tun:l3")->has_link_header());
  EXPECT_EQ(DeviceCatalog::builtin().open_sink("tap:solo", 4).value()->tx_queue_count(), 1u);
  EXPECT_EQ(DeviceCatalog::builtin().open_sink("tap:many", 4).value()->tx_queue_count(), 4u);
  EXPECT_THAT(refused("tap:solo,queues=2"), HasSubstr("leave queues=1, or make it anew: ip tuntap add solo mode tap"));
  EXPECT_THAT(refused("tap:l3"), HasSubstr("write tun:l3"));
  EXPECT_THAT(refused("tap:lo"), HasSubstr("af_packet:lo"));
  const auto taken = open("tap:solo");
  EXPECT_THAT(refused("tap:solo"), HasSubstr("another program has it open"));
}

TEST_F(TunDeviceTest, LeavesTheInterfaceOnlyWhenToldTo) {
  (void)open("tap:gone");
  EXPECT_EQ(interface_index("gone"), 0u);
  (void)open("tap:stays,persist=on");
  EXPECT_NE(interface_index("stays"), 0u);
}

TEST_F(TunDeviceTest, SurvivesThatTheInterfaceGoesDownAndUp) {
  const auto device = open("tap:t0");
  EXPECT_EQ(device->remark(), "");
  shell("ip link set t0 down");
  EXPECT_THAT(device->remark(), HasSubstr("t0 is down; bring it up with: ip link set t0 up"));
  OwnPacket packet(live_frame(1));
  send_all(device->tx_queue(0), std::array{&packet.packet});
  EXPECT_EQ(device->tx_queue(0).stats().tx_errors.load(), 1u);
  EXPECT_TRUE(take(device->queue(0)).empty());
  EXPECT_FALSE(device->queue(0).exhausted());

  shell("ip link set t0 up");
  RawSocket kernel("t0");
  send_all(device->tx_queue(0), std::array{&packet.packet});
  EXPECT_EQ(kernel.receive(), live_frame(1));
  kernel.send(live_frame(5));
  EXPECT_EQ(take(device->queue(0)), (std::vector<FrameBytes>{live_frame(5)}));
  EXPECT_EQ(device->remark(), "");
}

TEST_F(TunDeviceTest, EndsWhenTheInterfaceIsDeleted) {
  const auto device = open("tap:t0");
  RxQueue& queue = device->queue(0);
  EXPECT_FALSE(queue.irq_take(Nanos{1}));
  shell("ip link del t0");
  EXPECT_TRUE(queue.irq_take(Nanos{1})) << "whoever sleeps on it must be woken";
  EXPECT_TRUE(take(queue).empty());
  EXPECT_TRUE(queue.exhausted());
  EXPECT_EQ(queue.irq_fd(), -1) << "or the sleeper would spin on it";
  EXPECT_THAT(device->remark(), HasSubstr("t0 is gone"));
  OwnPacket packet(live_frame(1));
  send_all(device->tx_queue(0), std::array{&packet.packet});
  EXPECT_EQ(device->tx_queue(0).stats().tx_errors.load(), 1u);
}

TEST_F(TunDeviceTest, TakesAnInterfaceThatComesBack) {
  shell("ip tuntap add t0 mode tap && ip link set t0 up");
  expect_to_survive_deletion("tap:t0", {"ip tuntap add t0 mode tap && ip link set t0 up", "t0", "t0"});
}

TEST_F(TunDeviceTest, TakesAllQueuesOfAnInterfaceThatComesBack) {
  shell("ip tuntap add t0 mode tap multi_queue && ip link set t0 up");
  const auto device = open("tap:t0,queues=2");
  shell("ip link del t0");
  EXPECT_TRUE(poll_until(*device, [&] { return says(*device, "is gone; it will be taken again when it is back"); }));
  shell("ip tuntap add t0 mode tap");
  EXPECT_TRUE(poll_until(*device, [&] { return says(*device, "t0 is back and can't be taken again"); }));
  EXPECT_TRUE(says(*device, "make it anew: ip tuntap add t0 mode tap multi_queue"));
  shell("ip link del t0 && ip tuntap add t0 mode tap multi_queue && ip link set t0 up");
  ASSERT_TRUE(poll_until(*device, [&] { return says(*device, "was gone and was taken again"); }));
  for (std::uint32_t i = 0; i < 60; ++i) RawSocket("t0").send(live_frame(i));
  EXPECT_EQ(receive(*device, 60).size(), 60u);
}

TEST_F(TunDeviceTest, NeedsTheCapabilityOrAnInterfaceOfOnesOwn) {
  shell("ip tuntap add mine mode tap user 65534");
  struct stat device{};
  ASSERT_EQ(stat("/dev/net/tun", &device), 0);
  if ((device.st_mode & 6) != 6) GTEST_SKIP() << "skipped: /dev/net/tun is root's alone here";
  // Only this thread becomes somebody else, and only for a moment.
  ASSERT_EQ(syscall(SYS_setresuid, 65534, 65534, 0), 0);
  const std::string text = refused("tap:t0");
  const bool mine = open_device("tap:mine").has_value();
  ASSERT_EQ(syscall(SYS_setresuid, 0, 0, 0), 0);
  EXPECT_THAT(text, HasSubstr("needs CAP_NET_ADMIN (run as root), or an interface made for this user: ip tuntap add"));
  EXPECT_TRUE(mine);
}

}  // namespace
}  // namespace netrx
