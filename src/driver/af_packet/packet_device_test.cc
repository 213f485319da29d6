// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "driver/live/live_device_test_support.h"
#include "netrx/devices.h"
#include "netrx/ethertype.h"

namespace netrx {
namespace {

using testing::HasSubstr;

class PacketDeviceTest : public LiveDeviceTest {
 protected:
  PacketDeviceTest() : LiveDeviceTest(missing_for_netns, DeviceCatalog::builtin()) {}
  void SetUp() override {
    LiveDeviceTest::SetUp();
    lay_wire();
  }
  /// The next packet of queue 0, still the pool's.
  const Packet& receive_one(NetDevice& device) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    PollContext context{Nanos{1}, *pool_};
    while (device.queue(0).poll(context, batch_, 1) == 0 && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(batch_.size(), 1u) << "nothing came";
    return *batch_[0];
  }
  PacketBatch batch_;
};

TEST_F(PacketDeviceTest, ATagComesOutOfBandAndGoesBackIn) {
  const auto device = open("af_packet:v0");
  const FrameBytes plain = live_frame(1);
  FrameBytes tagged = plain;
  const std::array<std::uint8_t, 4> tag{0x88, 0xa8, 0x20, 0x05};
  tagged.insert(tagged.begin() + 12, tag.begin(), tag.end());
  RawSocket("v1").send(tagged);
  const Packet& packet = receive_one(*device);
  EXPECT_EQ(bytes_of(packet), plain);
  EXPECT_TRUE(packet.vlan_present);
  EXPECT_EQ(packet.vlan_proto, kEthP8021ad);
  EXPECT_EQ(packet.vlan_tci, 0x2005);

  const auto other = open("af_packet:v1");
  send_all(device->tx_queue(0), batch_.packets());
  end_packets(*pool_, batch_);
  const Packet& again = receive_one(*other);
  EXPECT_EQ(bytes_of(again), plain);
  EXPECT_EQ(again.vlan_tci, 0x2005);
  end_packets(*pool_, batch_);  // before the device that they came from
}

TEST_F(PacketDeviceTest, LargePacketsCrossWholeBothWays) {
  const auto device = open("af_packet:v0");
  VirtioNetHdr header;
  const FrameBytes large = large_segment(20'000, header);
  RawSocket peer("v1", true);
  peer.send(behind_header(header, large));
  const Packet& packet = receive_one(*device);
  EXPECT_EQ(bytes_of(packet), large);
  EXPECT_EQ(packet.gso_size, 1448u);
  EXPECT_EQ(packet.ip_summed, IpSummed::partial);

  send_all(device->tx_queue(0), batch_.packets());
  end_packets(*pool_, batch_);
  const FrameBytes back = peer.receive();
  ASSERT_EQ(back.size(), sizeof header + large.size());
  EXPECT_EQ(std::memcmp(back.data() + sizeof header, large.data(), large.size()), 0);
  VirtioNetHdr told;
  std::memcpy(&told, back.data(), sizeof told);
  EXPECT_EQ(told.gso_size, 1448u);
}

TEST_F(PacketDeviceTest, SendsManyInOneCallInOrder) {
  const auto device = open("af_packet:v0,qdisc_bypass=on");
  RawSocket peer("v1");
  std::vector<std::unique_ptr<OwnPacket>> packets;
  std::vector<Packet*> pointers;
  for (std::uint32_t i = 0; i < 150; ++i) {
    packets.push_back(std::make_unique<OwnPacket>(live_frame(i)));
    pointers.push_back(&packets.back()->packet);
  }
  send_all(device->tx_queue(0), pointers);
  for (std::uint32_t i = 0; i < 150; ++i) ASSERT_EQ(peer.receive(), live_frame(i)) << i;
  EXPECT_TRUE(take_waiting(device->queue(0), *pool_).empty()) << "what it sent is not what it receives";
}

TEST_F(PacketDeviceTest, FanoutKeepsFlowsTogether) {
  const auto device = open("af_packet:v0,queues=3");
  RawSocket peer("v1");
  for (int round = 0; round < 5; ++round)
    for (std::uint32_t i = 0; i < 60; ++i) peer.send(live_frame(i));
  std::map<FrameBytes, std::size_t> queue_of;
  std::size_t frames = 0, used = 0;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  for (std::size_t q = 0; q < 3; ++q) {
    const auto got = take_waiting(device->queue(q), *pool_);
    frames += got.size();
    used += !got.empty();
    for (const FrameBytes& frame : got) EXPECT_EQ(queue_of.emplace(frame, q).first->second, q);
  }
  EXPECT_EQ(frames, 300u);
  EXPECT_GT(used, 1u);
}

TEST_F(PacketDeviceTest, TheKernelsHashIsAFlows) {
  const auto device = open("af_packet:v0,rxhash=on");
  RawSocket peer("v1");
  std::vector<std::uint32_t> hashes;
  for (const std::uint32_t i : {1u, 2u, 1u}) {
    peer.send(live_frame(i));
    const Packet& packet = receive_one(*device);
    EXPECT_TRUE(packet.l4_hash);
    hashes.push_back(packet.hash);
    end_packets(*pool_, batch_);
  }
  EXPECT_EQ(hashes[0], hashes[2]);
  EXPECT_NE(hashes[0], hashes[1]);
}

TEST_F(PacketDeviceTest, WhatTheKernelDropsIsCounted) {
  const auto device = open("af_packet:v0,blocks=2");
  RawSocket peer("v1");
  constexpr std::uint32_t kSent = 3000;
  for (std::uint32_t i = 0; i < kSent; ++i) peer.send(live_frame(37));
  std::size_t got = receive(*device, kSent).size();
  EXPECT_LT(got, kSent);
  peer.send(live_frame(1));
  got += receive(*device, 1).size();
  const RxQueueStats& stats = device->queue(0).stats();
  EXPECT_EQ(stats.rx_packets.load() + stats.rx_missed_errors.load(), kSent + 1);
  EXPECT_EQ(stats.rx_packets.load(), got);
}

TEST_F(PacketDeviceTest, SurvivesThatTheInterfaceGoesDownAndUp) {
  const auto device = open("af_packet:v0");
  RxQueue& queue = device->queue(0);
  constexpr Nanos kNow{1}, kSoon = std::chrono::microseconds(100), kLater = std::chrono::milliseconds(1);
  EXPECT_FALSE(queue.irq_take(kNow));
  shell("ip link set v0 down");
  EXPECT_FALSE(queue.irq_take(kSoon)) << "the kernel is not asked at every look: it takes the ring's lock to answer";
  EXPECT_TRUE(queue.irq_take(kLater)) << "the socket has an error to tell";
  EXPECT_TRUE(take_waiting(queue, *pool_).empty());
  queue.irq_unmask();
  EXPECT_FALSE(queue.irq_take(2 * kLater)) << "and tells it once, or somebody spins";
  EXPECT_FALSE(queue.exhausted());
  EXPECT_THAT(device->remark(), HasSubstr("v0 is down; bring it up with: ip link set v0 up"));
  OwnPacket packet(live_frame(1));
  send_all(device->tx_queue(0), std::array{&packet.packet});
  EXPECT_EQ(device->tx_queue(0).stats().tx_errors.load(), 1u);

  shell("ip link set v0 up");
  wait_until_running("v1");
  RawSocket("v1").send(live_frame(5));
  EXPECT_EQ(receive(*device, 1), (std::vector<FrameBytes>{live_frame(5)}));
  send_all(device->tx_queue(0), std::array{&packet.packet});
  EXPECT_EQ(device->remark(), "");
}

TEST_F(PacketDeviceTest, EndsWhenTheInterfaceIsDeleted) {
  const auto device = open("af_packet:v0,reconnect=off");
  RxQueue& queue = device->queue(0);
  shell("ip link set v0 down");
  EXPECT_TRUE(queue.irq_take(steady_now()));
  EXPECT_TRUE(take_waiting(queue, *pool_).empty());
  queue.irq_unmask();
  const Nanos now = steady_now();
  EXPECT_LE(queue.next_attention(now), now + std::chrono::milliseconds(200)) << "the kernel has told all it will";
  shell("ip link del v0");
  EXPECT_TRUE(queue.irq_take(steady_now()));
  EXPECT_TRUE(poll_until(*device, [&] { return queue.exhausted(); }));
  EXPECT_EQ(queue.irq_fd(), -1);
  EXPECT_THAT(device->remark(), HasSubstr("v0 is gone"));
  OwnPacket packet(live_frame(1));
  send_all(device->tx_queue(0), std::array{&packet.packet});
  EXPECT_EQ(device->tx_queue(0).stats().tx_errors.load(), 1u);
}

TEST_F(PacketDeviceTest, GivesWhatCameJustBeforeTheEnd) {
  for (int round = 0; round < 5; ++round) {
    const auto device = open("af_packet:v0,reconnect=off,block-timeout=5ms");
    for (std::uint32_t i = 0; i < 10; ++i) RawSocket("v1").send(live_frame(i));
    shell("ip link del v0");
    EXPECT_EQ(receive(*device, 10).size(), 10u) << "though their block was not full";
    EXPECT_TRUE(poll_until(*device, [&] { return device->queue(0).exhausted(); }));
    lay_wire();
  }
}

TEST_F(PacketDeviceTest, TakesAnInterfaceThatComesBack) {
  const Place place{kLayWire, "v0", "v1"};
  expect_to_survive_deletion("af_packet:v0", place);
  expect_to_survive_deletion("af_packet:v0,promisc=on,block-timeout=5ms", place);
}

TEST_F(PacketDeviceTest, TakesAllQueuesOfAnInterfaceThatComesBack) {
  const auto device = open("af_packet:v0,queues=3");
  shell("ip link del v0");
  EXPECT_TRUE(poll_until(*device, [&] { return says(*device, "is gone; it will be taken again"); }));
  lay_wire();
  ASSERT_TRUE(poll_until(*device, [&] { return says(*device, "was gone and was taken again"); }));
  for (std::uint32_t i = 0; i < 60; ++i) RawSocket("v1").send(live_frame(i));
  EXPECT_EQ(receive(*device, 60).size(), 60u);
}

TEST_F(PacketDeviceTest, FollowsAnInterfaceThatIsRenamed) {
  const auto device = open("af_packet:v0");
  shell("ip link set v0 down && ip link set v0 name other && ip link set other up");
  EXPECT_TRUE(says(*device, "v0 is called other now"));
  expect_frames_both_ways(*device, {"", "other", "v1"});
  shell("ip link set other down && ip link set other name v0 && ip link set v0 up");
  EXPECT_EQ(device->remark(), "");
}

TEST_F(PacketDeviceTest, SurvivesAnotherMtu) {
  const auto device = open("af_packet:v0");
  for (const char* mtu : {"1400", "9000"}) {
    shell(std::string("ip link set v0 mtu ") + mtu + " && ip link set v1 mtu " + mtu);
    EXPECT_EQ(device->remark(), std::string("v0 has MTU ") + mtu + ", it had 1500");
    const FrameBytes frame(std::stoul(mtu) + 14, 7), longer(std::stoul(mtu) + 15, 7);
    RawSocket peer("v1");
    peer.send(frame);
    EXPECT_EQ(receive(*device, 1), (std::vector<FrameBytes>{frame})) << mtu;
    OwnPacket packet(frame), too_long(longer);
    send_all(device->tx_queue(0), std::array{&too_long.packet, &packet.packet});
    EXPECT_EQ(peer.receive(), frame) << mtu;
  }
  EXPECT_EQ(device->tx_queue(0).stats().tx_errors.load(), 2u) << "what is too long is refused, and no more";
  shell("ip link set v0 mtu 1500");
  EXPECT_EQ(device->remark(), "");
}

TEST_F(PacketDeviceTest, SaysWhatIsMissing) {
  EXPECT_THAT(refused("af_packet:nic9"), HasSubstr("no interface nic9; there are lo, v1, v0"));
  EXPECT_THAT(refused("af_packet:v0,blocks=1"), HasSubstr("blocks=1: out of range; give 2 to 4096"));
  // Only this thread becomes somebody else, and only for a moment.
  ASSERT_EQ(syscall(SYS_setresuid, 65534, 65534, 0), 0);
  const std::string text = refused("af_packet:v0");
  ASSERT_EQ(syscall(SYS_setresuid, 0, 0, 0), 0);
  EXPECT_THAT(text, HasSubstr("needs CAP_NET_RAW: run as root, or give it to the program (setcap cap_net_raw+ep)"));
}

}  // namespace
}  // namespace netrx
