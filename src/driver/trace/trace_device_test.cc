// SPDX-License-Identifier: Apache-2.0
#include "driver/trace/trace_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "wire/frame_builder.h"

namespace netrx {
namespace {

using wire::Frame;
using wire::FrameBuilder;

/// A device with the frames a test gives it, all there from the start.
class FrameDevice final : public NetDevice, private RxQueue {
 public:
  FrameDevice(std::vector<Frame> frames, bool link_header) : frames_(std::move(frames)), link_header_(link_header) {}
  std::string_view name() const override { return "test0"; }
  std::size_t queue_count() const override { return 1; }
  RxQueue& queue(std::size_t) override { return *this; }
  bool has_link_header() const override { return link_header_; }

 private:
  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override {
    std::size_t n = 0;
    for (; n < budget && next_ < frames_.size(); ++n, ++next_) {
      Packet* packet = nullptr;
      context.pool.alloc({&packet, 1});
      std::memcpy(packet->data, frames_[next_].data(), frames_[next_].size());
      packet->len = static_cast<std::uint32_t>(frames_[next_].size());
      packet->rx_seq = next_;
      packet->protocol = kEthPIp;
      batch.push_back(packet);
    }
    return n;
  }
  void irq_mask() override {}
  IrqCookie irq_unmask() override { return 0; }
  bool irq_missed(IrqCookie) override { return false; }
  bool irq_take(Nanos) override { return false; }
  Nanos next_attention(Nanos) override { return kNever; }

  std::vector<Frame> frames_;
  bool link_header_;
  std::size_t next_ = 0;
};

std::vector<std::string> lines_of(std::vector<Frame> frames, bool link_header = true, bool polls = false) {
  std::vector<std::string> lines;
  const auto device =
      trace_device(std::make_unique<FrameDevice>(std::move(frames), link_header),
                   {.sink = [&](std::string_view line) { lines.emplace_back(line); }, .frames = true, .polls = polls});
  const auto pool = PacketPool::create(0, 64, 2048).value();
  PollContext context{Nanos{1'000'002'500}, *pool};
  PacketBatch batch;
  device->queue(0).poll(context, batch, 10);
  pool->put(batch.packets());
  batch.released();
  return lines;
}

TEST(Trace, WritesALineAFrame) {
  const auto lines = lines_of({
      FrameBuilder().eth().ipv4("10.0.0.1", "192.0.2.7").udp(5000, 53).payload(4).build(),
      FrameBuilder().eth().vlan(12).ipv6("2001:db8::1", "2001:db8::2").tcp(1, 65535).build(),
      FrameBuilder().eth().ipv4("10.0.0.1", "192.0.2.7").icmp().build(),
      FrameBuilder().eth().arp("10.0.0.1", "10.0.0.2").build(),
      FrameBuilder().eth().build().cut(5),
  });
  EXPECT_THAT(lines,
              testing::ElementsAre("1.000002500 test0/rx-0 frame 0 46 bytes ipv4 10.0.0.1:5000 > 192.0.2.7:53 udp",
                                   "1.000002500 test0/rx-0 frame 1 78 bytes vlan 12 ipv6 2001:db8:0:0:0:0:0:1.1 > "
                                   "2001:db8:0:0:0:0:0:2.65535 tcp",
                                   "1.000002500 test0/rx-0 frame 2 42 bytes ipv4 10.0.0.1 > 192.0.2.7 proto 1",
                                   "1.000002500 test0/rx-0 frame 3 42 bytes ethertype 0x0806",
                                   "1.000002500 test0/rx-0 frame 4 5 bytes"));
}

TEST(Trace, ReadsFramesWithoutALinkHeader) {
  EXPECT_THAT(lines_of({FrameBuilder().ipv4("10.0.0.1", "192.0.2.7").udp(5000, 53).build()}, false),
              testing::ElementsAre("1.000002500 test0/rx-0 frame 0 28 bytes ipv4 10.0.0.1:5000 > 192.0.2.7:53 udp"));
}

TEST(Trace, WritesALineAPollWhenAsked) {
  const auto lines = lines_of({FrameBuilder().eth().build()}, true, true);
  EXPECT_THAT(lines, testing::Contains("1.000002500 test0/rx-0 poll budget 10 got 1"));
  EXPECT_EQ(lines.size(), 2u);
}

}  // namespace
}  // namespace netrx
