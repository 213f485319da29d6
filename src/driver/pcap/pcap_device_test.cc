// SPDX-License-Identifier: Apache-2.0
#include "driver/pcap/pcap_device.h"

#include <gmock/gmock.h>

#include <set>

#include "driver/pcap/capture_writer_test_support.h"
#include "driver/rss.h"
#include "wire/frame_builder.h"

namespace netrx {
namespace {

using testing::AllOf;
using testing::HasSubstr;

FrameBytes numbered(std::uint8_t number, std::size_t size = 60) { return FrameBytes(size, number); }

std::vector<int> numbers(const std::vector<Received>& frames) {
  std::vector<int> all;
  for (const Received& frame : frames) all.push_back(frame.bytes.at(0));
  return all;
}

Error error_of(const std::string& spec) {
  const auto device = pcap_catalog().open(spec);
  EXPECT_FALSE(device) << spec;
  return device ? Error{} : device.error();
}

TEST(Pcap, PlaysACaptureFrameByFrameInItsOrder) {
  const Capture capture = read_capture_file(sample("tiny.pcap"), {}).value();
  const auto frames = receive_all("pcap:" + sample("tiny.pcap"));
  ASSERT_EQ(frames.size(), 20u);
  for (std::size_t i = 0; i < 20; ++i)
    EXPECT_TRUE(std::ranges::equal(frames[i].bytes, capture.bytes_of(capture.frames[i])));
}

TEST(Pcap, PlaysItAsOftenAsAsked) {
  const TempFile file("loop.pcap");
  ASSERT_TRUE(write_capture(file.path(), DLT_EN10MB, {{numbered(1)}, {numbered(2)}, {numbered(3)}}));
  EXPECT_EQ(numbers(receive_all("pcap:" + file.path() + ",loop=3")), (std::vector<int>{1, 2, 3, 1, 2, 3, 1, 2, 3}));
  const auto pool = test_pool();
  const auto forever = pcap_catalog().open("pcap:" + file.path() + ",loop=forever").value();
  PollContext context{Nanos{0}, *pool};
  for (int i = 0; i < 1000; ++i) {
    PacketBatch batch;
    ASSERT_EQ(forever->queue(0).poll(context, batch, 64), 64u);
    end_packets(*pool, batch);
  }
  EXPECT_FALSE(forever->queue(0).exhausted());
}

TEST(Pcap, ACaptureStaysPristineWhateverIsDoneToItsPackets) {
  const TempFile file("pristine.pcap");
  ASSERT_TRUE(write_capture(file.path(), DLT_EN10MB, {{numbered(1)}, {numbered(2)}}));
  const auto pool = test_pool();
  const auto device = pcap_catalog().open("pcap:" + file.path() + ",loop=2").value();
  std::vector<int> seen;
  for (int i = 0; i < 4; ++i) {
    PacketBatch batch;
    PollContext context{Nanos{0}, *pool};
    device->queue(0).poll(context, batch, 1);
    seen.push_back(batch[0]->data[0]);
    std::fill_n(batch[0]->data, batch[0]->len, 0xee);
    end_packets(*pool, batch);
  }
  EXPECT_EQ(seen, (std::vector<int>{1, 2, 1, 2}));
}

TEST(Pcap, KeepsTheRecordedPaceAlsoOverLoops) {
  const TempFile file("pace.pcap");
  ASSERT_TRUE(write_capture(
      file.path(), DLT_EN10MB,
      {{numbered(1), Nanos{7'000'000}}, {numbered(2), Nanos{8'000'000}}, {numbered(3), Nanos{9'000'000}}}));
  const auto frames = receive_all("pcap:" + file.path() + ",rate=recorded,loop=2");
  ASSERT_EQ(frames.size(), 6u);
  for (std::size_t i = 1; i < 6; ++i)
    EXPECT_NEAR(static_cast<double>((frames[i].time - frames[0].time).count()), 1e6 * static_cast<double>(i), 5000)
        << "the next pass starts an average gap behind the last frame";
}

TEST(Pcap, KeepsASteadyRateOverAllQueues) {
  const auto frames = receive_all("pcap:" + sample("mixed.pcap") + ",max-frames=1000,rate=1M,queues=3");
  ASSERT_EQ(frames.size(), 1000u);
  Nanos first = kNever, last{0};
  for (const Received& frame : frames) {
    if (frame.queue != 0) continue;  // the queues ran one after the other here, each from the same start
    first = std::min(first, frame.time);
    last = std::max(last, frame.time);
  }
  EXPECT_NEAR(static_cast<double>((last - first).count()), 1e6, 3e4);
}

TEST(Pcap, LosesWhatFindsTheRingFull) {
  const TempFile file("ring.pcap");
  ASSERT_TRUE(write_capture(file.path(), DLT_EN10MB, std::vector<TestRecord>(100, {numbered(1), Nanos{0}})));
  const auto pool = test_pool();
  const auto device = pcap_catalog().open("pcap:" + file.path() + ",rate=recorded,ring=30").value();
  EXPECT_EQ(receive_all(*device, *pool).size(), 30u);
  EXPECT_EQ(device->queue(0).stats().rx_missed_errors, 70u);
}

TEST(Pcap, SpreadsFramesByRssAndCarriesTheHashWhenAsked) {
  const Rss rss(4);
  std::set<std::size_t> used;
  const auto frames = receive_all("pcap:" + sample("mixed.pcap") + ",queues=4,rxhash=on");
  EXPECT_EQ(frames.size(), 14516u);
  for (const Received& frame : frames) {
    const RssChoice choice = rss.choose_ethernet(frame.bytes);
    ASSERT_EQ(choice.queue, frame.queue);
    ASSERT_EQ(choice.hash, frame.hash);
    used.insert(frame.queue);
  }
  EXPECT_EQ(used.size(), 4u);
  for (const Received& frame : receive_all("pcap:" + sample("tiny.pcap"))) ASSERT_EQ(frame.hash, FlowHash{});
}

TEST(Pcap, SpreadsFramesWithoutLinkHeaderToo) {
  const TempFile file("raw.pcap");
  std::vector<TestRecord> records;
  for (std::uint32_t i = 0; i < 100; ++i)
    records.push_back({wire::FrameBuilder().ipv4(wire::Ip4(0x0a000001 + i), "10.9.9.9").udp(5, 6).build().bytes});
  ASSERT_TRUE(write_capture(file.path(), DLT_RAW, records));
  std::set<std::size_t> used;
  for (const Received& frame : receive_all("pcap:" + file.path() + ",queues=4")) used.insert(frame.queue);
  EXPECT_EQ(used.size(), 4u);
}

TEST(Pcap, ReceivesFramesFarLargerThanThePoolsBuffers) {
  const TempFile file("big.pcap");
  std::vector<TestRecord> records;
  for (std::uint8_t i = 0; i < 100; ++i) records.push_back({numbered(i, 200'000)});
  ASSERT_TRUE(write_capture(file.path(), DLT_EN10MB, records));
  const auto frames = receive_all("pcap:" + file.path());
  ASSERT_EQ(frames.size(), 100u);
  for (std::uint8_t i = 0; i < 100; ++i) EXPECT_EQ(frames[i].bytes, records[i].bytes);
}

TEST(Pcap, RemarksOnWhatIsWrongWithTheCapture) {
  const auto remark = [](const std::string& spec) { return pcap_catalog().open(spec).value()->remark(); };
  EXPECT_EQ(remark("pcap:" + sample("tiny.pcap")), "");
  EXPECT_THAT(remark("pcap:" + sample("truncated.pcap")),
              AllOf(HasSubstr("truncated.pcap: damaged"), HasSubstr("byte 4864")));
  EXPECT_THAT(remark("fault//pcap:" + sample("truncated.pcap")), HasSubstr("byte 4864"));
  const TempFile file("remark.pcap");
  ASSERT_TRUE(write_capture(file.path(), DLT_EN10MB, {{numbered(1), Nanos{0}, 90}, {numbered(2)}}));
  EXPECT_THAT(remark("pcap:" + file.path()), HasSubstr("1 of 2 frames were cut"));
  ASSERT_TRUE(write_capture(file.path(), DLT_EN10MB, {}));
  EXPECT_THAT(remark("pcap:" + file.path()), HasSubstr("holds no frames"));
  EXPECT_TRUE(pcap_catalog().open("pcap:" + file.path()).value()->queue(0).exhausted());
}

TEST(Pcap, RefusesInOneLineThatNamesTheCulprit) {
  EXPECT_THAT(error_of("pcap").text, HasSubstr("no FILE; write pcap:FILE"));
  EXPECT_THAT(error_of("pcap:rate=max").text, HasSubstr("no FILE"));
  EXPECT_EQ(error_of("pcap:/nowhere").code, ENOENT);
  EXPECT_THAT(error_of("pcap:/nowhere").text, HasSubstr("pcap: /nowhere: No such file or directory"));
  EXPECT_THAT(error_of("pcap:" + sample("tiny.pcap") + ",lop=2").text, HasSubstr("did you mean loop?"));
  EXPECT_THAT(error_of("pcap:" + sample("tiny.pcap") + ",loop=0").text, HasSubstr("loop=0"));
  EXPECT_THAT(error_of("pcap:" + sample("tiny.pcap") + ",rate=0").text, HasSubstr("rate=0"));
  EXPECT_THAT(error_of("pcpa:x").text, HasSubstr("did you mean pcap?"));
}

TEST(Pcap, TheCatalogsHelpNamesIt) {
  EXPECT_THAT(pcap_catalog().help(), AllOf(HasSubstr("pcap:FILE"), HasSubstr("dump:FILE"), HasSubstr("max-frames=N")));
}

}  // namespace
}  // namespace netrx
