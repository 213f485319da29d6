// SPDX-License-Identifier: Apache-2.0
#include "driver/pcap/dump_device.h"

#include <gmock/gmock.h>

#include "driver/pcap/capture_writer_test_support.h"
#include "netrx/ethertype.h"

namespace netrx {
namespace {

using testing::HasSubstr;

std::vector<FrameBytes> bytes_of(const std::vector<Received>& frames) {
  std::vector<FrameBytes> bytes;
  for (const Received& frame : frames) bytes.push_back(frame.bytes);
  return bytes;
}

TEST(Dump, WritesWhatItSawAndPassesItOn) {
  const TempFile file("dump.pcap");
  const auto seen = bytes_of(receive_all("dump:" + file.path() + "//gen:count=500,size=imix,rate=1M"));
  EXPECT_EQ(seen.size(), 500u);
  EXPECT_EQ(bytes_of(receive_all("pcap:" + file.path())), seen);
}

TEST(Dump, StampsFramesWithTheEnginesTimeToTheNanosecond) {
  const TempFile file("dump-time.pcap");
  {
    const auto pool = test_pool();
    const auto device = pcap_catalog().open("dump:" + file.path() + "//gen:count=1").value();
    PacketBatch batch;
    PollContext context{Nanos{3'000'000'123}, *pool};
    device->queue(0).poll(context, batch, 1);
    end_packets(*pool, batch);
  }
  char why[PCAP_ERRBUF_SIZE];
  pcap_t* pcap = pcap_open_offline_with_tstamp_precision(file.path().c_str(), PCAP_TSTAMP_PRECISION_NANO, why);
  ASSERT_NE(pcap, nullptr) << why;
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  ASSERT_EQ(pcap_next_ex(pcap, &header, &data), 1);
  EXPECT_EQ(header->ts.tv_sec, 3);
  EXPECT_EQ(header->ts.tv_usec, 123);
  pcap_close(pcap);
}

TEST(Dump, WritesFramesWithoutALinkHeaderSoThatTheyReadBackTheSame) {
  const TempFile raw("dump-raw.pcap"), dump("dump-cooked.pcap");
  ASSERT_TRUE(write_capture(raw.path(), DLT_PPP, {{{0x21, 0x45, 1, 2}}, {{0x57, 0x60, 3}}}));
  const auto seen = receive_all("dump:" + dump.path() + "//pcap:" + raw.path());
  const auto again = receive_all("pcap:" + dump.path());
  EXPECT_EQ(bytes_of(again), bytes_of(seen));
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[0].protocol, kEthPIp);
  EXPECT_EQ(again[1].protocol, kEthPIpv6);
}

TEST(Dump, CutsFramesAtTheSnapLength) {
  const TempFile file("dump-snap.pcap");
  receive_all("dump:" + file.path() + ",snaplen=30//gen:count=10,size=100");
  const auto device = pcap_catalog().open("pcap:" + file.path()).value();
  EXPECT_THAT(device->remark(), HasSubstr("10 of 10 frames were cut"));
  const auto pool = test_pool();
  for (const Received& frame : receive_all(*device, *pool)) EXPECT_EQ(frame.bytes.size(), 30u);
}

/// One packet whose VLAN tag the device took out, as cards do.
class TaglessDevice final : public NetDevice, private RxQueue {
 public:
  std::string_view name() const override { return "test0"; }
  std::size_t queue_count() const override { return 1; }
  RxQueue& queue(std::size_t) override { return *this; }

 private:
  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t) override {
    Packet* packet = nullptr;
    context.pool.alloc({&packet, 1});
    for (std::uint8_t i = 0; i < 20; ++i) packet->data[i] = i;
    packet->len = 20;
    packet->vlan_present = true;
    packet->vlan_proto = kEthP8021ad;
    packet->vlan_tci = 0x2005;
    batch.push_back(packet);
    return 1;
  }
  void irq_mask() override {}
  IrqCookie irq_unmask() override { return 0; }
  bool irq_missed(IrqCookie) override { return false; }
  bool irq_take(Nanos) override { return false; }
  Nanos next_attention(Nanos) override { return kNever; }
};

TEST(Dump, PutsTagsBackThatTheDeviceTookOut) {
  const TempFile file("dump-vlan.pcap");
  {
    const auto pool = test_pool();
    const auto device = make_dump_device(std::make_unique<TaglessDevice>(), file.path(), 262144).value();
    PacketBatch batch;
    PollContext context{Nanos{1}, *pool};
    device->queue(0).poll(context, batch, 1);
    end_packets(*pool, batch);
  }
  EXPECT_EQ(receive_all("pcap:" + file.path()).at(0).bytes,
            (FrameBytes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0x88, 0xa8, 0x20, 0x05, 12, 13, 14, 15, 16, 17, 18, 19}));
}

TEST(Dump, AFullDiskEndsTheWritingNotTheTraffic) {
  const auto pool = test_pool();
  const auto device = pcap_catalog().open("dump:/dev/full//gen:count=1000,size=1000").value();
  EXPECT_EQ(receive_all(*device, *pool).size(), 1000u);
  EXPECT_THAT(device->remark(), HasSubstr("dump: /dev/full: writing ended behind frame"));
  EXPECT_THAT(device->remark(), HasSubstr("No space left"));
}

TEST(Dump, RefusesAFileItCanNotWrite) {
  const auto device = pcap_catalog().open("dump:/nowhere/x//gen");
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().code, ENOENT);
  EXPECT_THAT(device.error().text, HasSubstr("dump: /nowhere/x: No such file"));
}

}  // namespace
}  // namespace netrx
