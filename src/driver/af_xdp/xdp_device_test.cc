// SPDX-License-Identifier: Apache-2.0
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <netinet/in.h>

#include <algorithm>
#include <set>
#include <thread>

#include "driver/af_xdp/xdp_socket.h"
#include "driver/af_xdp/xdp_test_support.h"
#include "driver/frame_returns.h"
#include "driver/live/live_device_test_support.h"
#include "netrx/ethertype.h"

namespace netrx {
namespace {

using testing::HasSubstr;

class XdpDeviceTest : public LiveDeviceTest {
 protected:
  XdpDeviceTest() : LiveDeviceTest(missing_for_xdp, xdp_catalog()) {}
  void SetUp() override {
    LiveDeviceTest::SetUp();
    lay_wire();
  }
  static bool program_attached() {
    std::uint32_t id = 0;
    EXPECT_EQ(bpf_xdp_query_id(static_cast<int>(if_nametoindex("v0")), 0, &id), 0);
    return id != 0;
  }
};

TEST_F(XdpDeviceTest, SendsCopiesInOrder) {
  for (const char* mode : {"native", "generic"}) {
    const auto device = open(std::string("af_xdp:v0,mode=") + mode);
    RawSocket peer("v1");
    std::vector<std::unique_ptr<OwnPacket>> packets;
    std::vector<Packet*> pointers;
    for (std::uint32_t i = 0; i < 100; ++i) {
      packets.push_back(std::make_unique<OwnPacket>(live_frame(i)));
      pointers.push_back(&packets.back()->packet);
    }
    send_all(device->tx_queue(0), pointers);
    for (std::uint32_t i = 0; i < 100; ++i) ASSERT_EQ(peer.receive(), live_frame(i)) << mode << " " << i;
  }
}

TEST_F(XdpDeviceTest, ASenderAloneAttachesNoProgram) {
  const auto device = xdp_catalog().open_sink("af_xdp:v0", 2);
  ASSERT_TRUE(device) << device.error().text;
  EXPECT_FALSE(program_attached());
  RawSocket peer("v1");
  OwnPacket packet(live_frame(7));
  for (int round = 0; round < 3000; ++round) send_all((*device)->tx_queue(0), std::array{&packet.packet});
  EXPECT_EQ(peer.receive(), live_frame(7));
  EXPECT_EQ((*device)->tx_queue(0).stats().tx_busy.load(), 0u) << "sent frames come back to be used again";
}

TEST_F(XdpDeviceTest, FramesComeHomeFromAnyCpu) {
  const auto device = open("af_xdp:v0,frames=64");
  RawSocket peer("v1");
  RxQueue& queue = device->queue(0);
  for (int round = 1; round <= 20; ++round) {
    const Nanos now = std::chrono::seconds(round);
    for (std::uint32_t i = 0; i < 64; ++i) peer.send(live_frame(i));
    PacketBatch batch;
    PollContext context{now, *pool_};
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (batch.size() < 64 && std::chrono::steady_clock::now() < deadline) queue.poll(context, batch, 64);
    EXPECT_EQ(batch.size(), 64u) << round << ", missed " << queue.stats().rx_missed_errors;
    queue.irq_unmask();
    EXPECT_FALSE(queue.irq_take(now)) << "all frames are away";
    EXPECT_LE(queue.next_attention(now), now + std::chrono::milliseconds(1)) << "nobody tells when they come home";
    std::thread([&] { end_packets(*pool_, batch); }).join();
    EXPECT_TRUE(queue.irq_take(now)) << "they are home, and the kernel has none";
    EXPECT_EQ(queue.poll(context, batch, 64), 0u);
  }
  EXPECT_EQ(queue.stats().rx_missed_errors.load(), 0u);
}

TEST_F(XdpDeviceTest, TakesWhatIsAskedForAndPassesTheRest) {
  const auto udp = [](unsigned port) {
    return wire::FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").udp(9, port).payload(40).build().bytes;
  };
  const auto udp6 = [](unsigned port) {
    return wire::FrameBuilder().eth().ipv6("fd00::1", "fd00::2").udp(9, port).payload(40).build().bytes;
  };
  const auto tcp = [](unsigned port) {
    return wire::FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").tcp(9, port).payload(40).build().bytes;
  };
  const FrameBytes options = wire::FrameBuilder()
                                 .eth()
                                 .ipv4("10.0.0.1", "10.0.0.2", {.options = std::vector<std::uint8_t>(8, 1)})
                                 .udp(9, 53)
                                 .payload(40)
                                 .build()
                                 .bytes;
  const FrameBytes arp(60, 0);
  struct Case {
    const char* match;
    std::vector<FrameBytes> taken, passed;
  };
  const std::vector<Case> cases = {
      {"udp:53", {udp(53), udp6(53), options}, {udp(54), tcp(53), arp}},
      {"tcp", {tcp(53), tcp(80)}, {udp(53), udp6(53), arp}},
      {"all", {udp(53), tcp(80), arp}, {}},
  };
  for (const Case& one : cases) {
    const auto device = open(std::string("af_xdp:v0,match=") + one.match);
    RawSocket kernel("v0"), peer("v1");
    for (const FrameBytes& frame : one.taken) peer.send(frame);
    for (const FrameBytes& frame : one.passed) peer.send(frame);
    EXPECT_EQ(receive(*device, one.taken.size()), one.taken) << one.match;
    for (const FrameBytes& frame : one.passed) EXPECT_EQ(kernel.receive(), frame) << one.match;
    EXPECT_TRUE(kernel.receive(std::chrono::milliseconds(20)).empty()) << "nothing both ways";
  }
}

TEST_F(XdpDeviceTest, TheProgramIsAttachedChangedReplacedAndGoesWithTheDevice) {
  EXPECT_FALSE(program_attached());
  {
    const auto device = open("af_xdp:v0");
    EXPECT_TRUE(program_attached());
    const std::string who =
        "of process " + std::to_string(getpid()) + " (af_xdp_test), which replace=on can't take it from";
    for (const char* keys : {"", ",replace=on"}) {
      const std::string text = refused(std::string("af_xdp:v0:1") + keys);
      EXPECT_THAT(text, HasSubstr("program netrx, id "));
      EXPECT_THAT(text, HasSubstr("is held by BPF link "));
      EXPECT_THAT(text, HasSubstr(who));
      EXPECT_THAT(text, HasSubstr("bpftool link detach id "));
    }
    EXPECT_TRUE(program_attached());
  }
  EXPECT_FALSE(program_attached());
  {
    auto program = XdpProgram::attach({.interface = "v0", .match = {.protocol = IPPROTO_UDP, .port = 53}});
    ASSERT_TRUE(program) << program.error().text;
    EXPECT_TRUE(program->native) << "veth has native XDP";
    EXPECT_TRUE(program->change({}));
  }
  EXPECT_FALSE(program_attached());
}

TEST_F(XdpDeviceTest, PacketsCarryWhatTheDriverSays) {
  if (!XdpMetadataFunctions::find()) GTEST_SKIP() << "skipped: " << XdpMetadataFunctions::find().error().text;
  const auto hashes_by = [&](const std::string& spec) {
    const auto device = open(spec);
    RawSocket peer("v1");
    PacketBatch batch;
    std::vector<std::uint32_t> hashes;
    for (std::uint32_t i = 0; i < 20; ++i) {
      peer.send(live_frame(i));
      EXPECT_TRUE(poll_until_held(*device, batch, batch.size() + 1));
    }
    for (std::size_t i = 0; i < batch.size(); ++i) {
      EXPECT_EQ(bytes_of(*batch[i]), live_frame(static_cast<std::uint32_t>(i)));
      EXPECT_TRUE(batch[i]->l4_hash);
      EXPECT_FALSE(batch[i]->vlan_present);
      EXPECT_FALSE(xdp_rx_timestamp(*batch[i])) << "a veth knows of none for what a socket sends";
      hashes.push_back(batch[i]->hash);
    }
    EXPECT_EQ(device->remark(), "");
    end_packets(*pool_, batch);
    return hashes;
  };
  const std::vector<std::uint32_t> by_driver = hashes_by("af_xdp:v0,metadata=on");
  EXPECT_EQ(by_driver, hashes_by("af_packet:v0,rxhash=on")) << "one kernel, one hash for the same frame";
  EXPECT_EQ(std::set(by_driver.begin(), by_driver.end()).size(), 20u);
  EXPECT_EQ(by_driver, hashes_by("af_xdp:v0,metadata=on,match=udp")) << "behind a filter too";
}

TEST_F(XdpDeviceTest, WithoutMetadataItSaysWhy) {
  EXPECT_THAT(open("af_xdp:v0,mode=generic")->remark(), HasSubstr("a program in the generic place gets none"));
  EXPECT_THAT(refused("af_xdp:v0,mode=generic,metadata=on"), HasSubstr("leave metadata=auto"));
  const auto device = open("af_xdp:v0,metadata=off");
  EXPECT_EQ(device->remark(), "");
  RawSocket("v1").send(live_frame(1));
  PacketBatch batch;
  ASSERT_TRUE(poll_until_held(*device, batch, 1));
  EXPECT_EQ(batch[0]->hash, 0u);
  EXPECT_FALSE(batch[0]->l4_hash);
  end_packets(*pool_, batch);
  // lo has native XDP nowhere, so the generic place is found and no metadata.
  const auto loopback = open("af_xdp:lo");
  EXPECT_THAT(loopback->remark(), HasSubstr("packets carry no hash of the driver's"));
}

TEST(XdpMetadata, IsReadFromInFrontOfTheFrame) {
  std::array<std::uint8_t, 256> bytes{};
  XdpMetadata metadata{.timestamp = 77,
                       .hash = 0x12345678,
                       .rss_type = XdpMetadata::kRssL4,
                       .vlan_tci = 0x2005,
                       .vlan_proto = static_cast<std::uint16_t>(kEthP8021q),
                       .what = XdpMetadata::kMark | XdpMetadata::kTimestamp | XdpMetadata::kHash | XdpMetadata::kVlan};
  FrameReturns home(1);
  const auto read = [&] {
    Packet packet;
    packet.head = bytes.data();
    packet.mac_header = 100;
    packet.frame_home = &home;
    std::memcpy(bytes.data() + 100 - sizeof metadata, &metadata, sizeof metadata);
    read_xdp_metadata(packet);
    return packet;
  };
  Packet packet = read();
  EXPECT_EQ(packet.hash, 0x12345678u);
  EXPECT_TRUE(packet.l4_hash);
  EXPECT_TRUE(packet.vlan_present);
  EXPECT_EQ(packet.vlan_tci, 0x2005);
  EXPECT_EQ(packet.vlan_proto, kEthP8021q);
  EXPECT_EQ(xdp_rx_timestamp(packet), Nanos{77});
  packet.frame_home = nullptr;
  EXPECT_FALSE(xdp_rx_timestamp(packet)) << "not a frame that anybody lent";
  metadata.rss_type = 1;
  EXPECT_FALSE(read().l4_hash);
  metadata.what = XdpMetadata::kMark;
  EXPECT_EQ(read().hash, 0u);
  EXPECT_FALSE(read().vlan_present);
  metadata.what = 0xff;
  EXPECT_EQ(read().hash, 0u) << "no mark: something else is there";
}

TEST_F(XdpDeviceTest, TakesThePlaceOfAProgramWhenToldTo) {
  std::array<bpf_insn, 2> pass{};
  pass[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  pass[0].imm = XDP_PASS;
  pass[1].code = BPF_JMP | BPF_EXIT;
  for (const std::uint32_t flags : {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE}) {
    const OwnedFd other(bpf_prog_load(BPF_PROG_TYPE_XDP, "somebodys", "Apache-2.0", pass.data(), pass.size(), nullptr));
    ASSERT_EQ(bpf_xdp_attach(static_cast<int>(if_nametoindex("v0")), other.get(), flags, nullptr), 0);
    const std::string text = refused("af_xdp:v0");
    EXPECT_THAT(text, HasSubstr("program somebodys, id "));
    EXPECT_THAT(text, HasSubstr("is attached: write replace=on, or remove it with: ip link set dev v0 xdp off"));
    const auto device = open("af_xdp:v0,replace=on");
    expect_frames_both_ways(*device, {"", "v0", "v1"});
  }
  EXPECT_FALSE(program_attached());
}

TEST_F(XdpDeviceTest, BusyPollingIsTheKernels) {
  XdpSocketRequest request;
  request.interface = "v0";
  request.busy_poll = true;
  const auto memory = XdpMemory::create(request).value();
  auto socket = XdpSocket::open(request, *memory);
  ASSERT_TRUE(socket) << socket.error().text;
  const auto option = [&](int name) {
    int value = -1;
    socklen_t size = sizeof value;
    getsockopt((*socket)->fd(), SOL_SOCKET, name, &value, &size);
    return value;
  };
  EXPECT_EQ(option(SO_BUSY_POLL), 20);
  EXPECT_EQ(option(69), 1) << "SO_PREFER_BUSY_POLL";
  socket->reset();
  for (const char* mode : {"native", "generic"}) {
    const auto device = open(std::string("af_xdp:v0,busy-poll=on,mode=") + mode);
    expect_frames_both_ways(*device, {"", "v0", "v1"});
  }
}

TEST_F(XdpDeviceTest, SeveralQueuesAreSeveralSockets) {
  shell("ip link add w0 numrxqueues 2 numtxqueues 2 type veth peer name w1 numrxqueues 2 numtxqueues 2");
  shell("ip link set w0 up && ip link set w1 up");
  const auto device = open("af_xdp:w0,queues=2");
  EXPECT_EQ(device->queue_count(), 2u);
  RawSocket peer("w1");
  for (std::uint32_t i = 0; i < 50; ++i) peer.send(live_frame(i));
  EXPECT_EQ(receive(*device, 50).size(), 50u);
  EXPECT_EQ(open("af_xdp:w1:1")->name(), "w1");
  EXPECT_THAT(refused("af_xdp:w1:7"), HasSubstr("the interface has no such queue"));
}

TEST_F(XdpDeviceTest, EndsWhenTheInterfaceIsDeleted) {
  const auto device = open("af_xdp:v0,reconnect=off");
  RxQueue& queue = device->queue(0);
  EXPECT_FALSE(queue.irq_take(std::chrono::seconds(1)));
  EXPECT_LE(queue.next_attention(std::chrono::seconds(1)), std::chrono::milliseconds(1100));
  shell("ip link set v0 down");
  EXPECT_THAT(device->remark(), HasSubstr("v0 is down"));
  shell("ip link set v0 up");
  shell("ip link del v0");
  EXPECT_TRUE(queue.irq_take(std::chrono::seconds(2))) << "nobody tells a sleeper; it looks";
  PacketBatch batch;
  PollContext context{std::chrono::seconds(2), *pool_};
  EXPECT_EQ(queue.poll(context, batch, 64), 0u);
  EXPECT_TRUE(queue.exhausted());
  EXPECT_THAT(device->remark(), HasSubstr("v0 is gone"));
}

TEST_F(XdpDeviceTest, TakesAnInterfaceThatComesBack) {
  const Place place{kLayWire, "v0", "v1"};
  expect_to_survive_deletion("af_xdp:v0,frames=64,mode=native", place);
  expect_to_survive_deletion("af_xdp:v0,frames=64,mode=generic,metadata=off", place);
}

TEST_F(XdpDeviceTest, ASenderTakesAnInterfaceThatComesBack) {
  const auto device = xdp_catalog().open_sink("af_xdp:v0", 1).value();
  shell("ip link del v0");
  ASSERT_TRUE(poll_until(*device, [&] { return says(*device, "is gone; it will be taken again"); }));
  OwnPacket packet(live_frame(1));
  for (int i = 0; i < 3; ++i) send_all(device->tx_queue(0), std::array{&packet.packet});
  lay_wire();
  ASSERT_TRUE(poll_until(*device, [&] { return says(*device, "was gone and was taken again"); }));
  EXPECT_EQ(device->tx_queue(0).stats().tx_errors.load(), 3u) << "what waited for the one that went is not sent";
  RawSocket peer("v1");
  for (std::uint32_t i = 0; i < 2000; ++i) {
    OwnPacket next(live_frame(i));
    send_all(device->tx_queue(0), std::array{&next.packet});
    ASSERT_EQ(peer.receive(), live_frame(i));
  }
}

TEST_F(XdpDeviceTest, FollowsAnInterfaceThatIsRenamed) {
  const auto device = open("af_xdp:v0");
  shell("ip link set v0 down && ip link set v0 name other && ip link set other up");
  EXPECT_TRUE(says(*device, "v0 is called other now"));
  std::this_thread::sleep_for(std::chrono::milliseconds(150));  // somebody looked whether it is gone
  expect_frames_both_ways(*device, {"", "other", "v1"});
}

TEST_F(XdpDeviceTest, SurvivesAnotherMtu) {
  for (const char* mode : {"native", "generic"}) {
    const auto device = open(std::string("af_xdp:v0,metadata=off,mode=") + mode);
    for (const std::size_t mtu : {1000, 3000}) {
      const std::string number = std::to_string(mtu);
      shell("ip link set v0 mtu " + number + " && ip link set v1 mtu " + number);
      EXPECT_EQ(device->remark(), "v0 has MTU " + number + ", it had 1500");
      const FrameBytes frame(mtu + 14, 7);
      RawSocket peer("v1");
      peer.send(frame);
      EXPECT_EQ(receive(*device, 1), (std::vector<FrameBytes>{frame})) << mode << mtu;
      OwnPacket packet(frame);
      send_all(device->tx_queue(0), std::array{&packet.packet});
      EXPECT_EQ(peer.receive(), frame) << mode << mtu;
    }
    shell("ip link set v0 mtu 1500 && ip link set v1 mtu 1500");
    EXPECT_EQ(device->remark(), "");
  }
}

TEST_F(XdpDeviceTest, SaysWhatIsMissing) {
  EXPECT_THAT(refused("af_xdp:nic9"), HasSubstr("no interface nic9"));
  EXPECT_THAT(refused("af_xdp:v0,match=icmp"), HasSubstr("give all, udp, tcp, or one of these and a port"));
  EXPECT_THAT(refused("af_xdp:v0:x"), HasSubstr("write INTERFACE or INTERFACE:QUEUE"));
  EXPECT_THAT(refused("af_xdp:v0,zerocopy=on"), HasSubstr("its driver has no zero-copy: leave zerocopy=auto"));
  EXPECT_THAT(refused("af_xdp:v0,frames=100"), HasSubstr("give a power of two"));
  EXPECT_FALSE(program_attached()) << "a refusal leaves nothing behind";
  // Only this thread becomes somebody else, and only for a moment.
  ASSERT_EQ(syscall(SYS_setresuid, 65534, 65534, 0), 0);
  const std::string text = refused("af_xdp:v0");
  ASSERT_EQ(syscall(SYS_setresuid, 0, 0, 0), 0);
  EXPECT_THAT(text, HasSubstr("needs CAP_NET_ADMIN, CAP_BPF and CAP_NET_RAW: run as root; af_packet needs"));
}

}  // namespace
}  // namespace netrx
