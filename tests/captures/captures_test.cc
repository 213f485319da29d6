// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "driver/pcap/capture.h"
#include "netrx/engine.h"
#include "netrx/ethertype.h"
#include "netrx/executor.h"
#include "netrx/gro.h"
#include "netrx/gso.h"
#include "netrx/pcap.h"
#include "wire/eth_type_trans.h"
#include "wire/flow_check.h"
#include "wire/headers.h"

namespace netrx {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> captures_in(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code missing;
  for (const auto& entry : fs::recursive_directory_iterator(folder, missing)) {
    const std::string extension = entry.path().extension().string();
    if (entry.is_regular_file() && (extension == ".pcap" || extension == ".pcapng" || extension == ".trace"))
      paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// Refusing a capture is right only for a reason of its own: a link type that is not handled, or no capture at all.
bool refused_with_reason(const Error& error) {
  return (error.code == EPROTONOSUPPORT || error.code == EINVAL || error.code == ENODATA) && !error.text.empty() &&
         error.text.find('\n') == std::string::npos;
}

/// The network header of a captured frame, as eth_type_trans or the link type gives it.
FlowInput network_header(const Capture& capture, const CapturedFrame& frame) {
  const std::span<const std::uint8_t> bytes = capture.bytes_of(frame);
  if (!capture.has_link_header())
    return {.data = bytes.data(), .len = static_cast<std::uint32_t>(bytes.size()), .protocol = frame.protocol};
  if (bytes.size() < wire::EthernetView::kSize) return {};
  const auto payload = bytes.subspan(wire::EthernetView::kSize);
  return {.data = payload.data(),
          .len = static_cast<std::uint32_t>(payload.size()),
          .protocol = wire::eth_type_trans(bytes, {}).protocol};
}

void expect_dissector_equals_its_twin(const std::string& path, wire::HashCheck& hashes) {
  const Result<Capture> capture = read_capture_file(path, {});
  if (!capture) {
    EXPECT_TRUE(refused_with_reason(capture.error())) << path << ": " << capture.error().text;
    return;
  }
  for (std::size_t i = 0; i < capture->frames.size(); ++i) {
    const FlowInput input = network_header(*capture, capture->frames[i]);
    if (input.data == nullptr) continue;
    const char* difference = wire::difference_from_naive(input);
    if (difference == nullptr) difference = hashes.difference_from_naive(input);
    ASSERT_EQ(difference, nullptr) << path << " frame " << i + 1;
  }
}

/// A frame as a packet of its own, with room for what GRO may want in front.
struct FramePacket {
  static constexpr std::size_t kRoom = 64;
  FramePacket(const Capture& capture, const CapturedFrame& frame) {
    const std::span<const std::uint8_t> bytes = capture.bytes_of(frame);
    original.assign(bytes.begin(), bytes.end());
    buffer.resize(kRoom + bytes.size() + kRoom);
    std::ranges::copy(bytes, buffer.begin() + kRoom);
    const std::size_t link =
        capture.has_link_header() ? std::min<std::size_t>(bytes.size(), wire::EthernetView::kSize) : 0;
    packet.head = buffer.data();
    packet.buffer_size = static_cast<std::uint32_t>(buffer.size());
    packet.data = packet.head + kRoom + link;
    packet.len = static_cast<std::uint32_t>(bytes.size() - link);
    packet.mac_header = kRoom;
    packet.network_header = packet.transport_header = static_cast<std::uint16_t>(kRoom + link);
    packet.protocol = link != 0 ? wire::eth_type_trans(bytes, {}).protocol : frame.protocol;
  }
  std::vector<std::uint8_t> original;
  std::vector<std::uint8_t> buffer;
  Packet packet;
};

/// The bytes of a frame that cutting a merged packet may change: IPv4 ids where the datagrams of a UDP flow all had the
/// same, or where an outer header's did not matter; and the checksums over them.
bool same_but_for_ids(std::vector<std::uint8_t> a, std::vector<std::uint8_t> b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i + 20 <= a.size(); i += 2) {
    if (a[i] != 0x45 || b[i] != 0x45) continue;
    for (const std::size_t at : {4u, 5u, 10u, 11u}) a[i + at] = b[i + at];
  }
  return a == b;
}

/// Merges a whole capture, burst by burst, and cuts it again: every frame comes back.
void expect_merging_loses_nothing(const std::string& path, const GroOptions& options, std::size_t& merged) {
  const Result<Capture> capture = read_capture_file(path, {});
  if (!capture) return;
  const auto gro = std::move(Gro::create(options).value());
  constexpr std::size_t kBurst = 64;
  for (std::size_t from = 0; from < capture->frames.size(); from += kBurst) {
    std::deque<FramePacket> burst;
    std::map<const Packet*, const FramePacket*> of;
    for (std::size_t i = from; i < std::min(from + kBurst, capture->frames.size()); ++i) {
      if (network_header(*capture, capture->frames[i]).data == nullptr) continue;
      FramePacket& one = burst.emplace_back(*capture, capture->frames[i]);
      of[&one.packet] = &one;
    }
    for (FramePacket& one : burst) gro->receive(one.packet);
    gro->flush();
    std::size_t seen = 0;
    for (const Packet* packet : gro->take()) {
      std::vector<const Packet*> parts{packet};
      for (const Packet* frag = packet->frags; frag != nullptr; frag = frag->next) parts.push_back(frag);
      seen += parts.size();
      merged += parts.size() - 1;
      if (parts.size() == 1) {
        const FramePacket& one = *of.at(packet);
        ASSERT_TRUE(
            std::ranges::equal(one.original, std::span(one.buffer).subspan(FramePacket::kRoom, one.original.size())))
            << path << ": a packet that merged with nothing was changed";
        continue;
      }
      Result<Segmenter> cut = Segmenter::create(*packet);
      ASSERT_TRUE(cut) << path << ": " << cut.error().text;
      ASSERT_EQ(cut->segments(), parts.size()) << path;
      for (const Packet* part : parts) {
        std::vector<std::uint8_t> frame(cut->max_size());
        frame.resize(cut->next(frame));
        ASSERT_TRUE(same_but_for_ids(frame, of.at(part)->original)) << path;
      }
    }
    ASSERT_EQ(seen, burst.size()) << path;
  }
}

class Swallow : public PacketHandler {
 public:
  void receive(Delivery&) override {}
};

/// Plays one capture through two CPUs and accounts for every frame of it.
void expect_every_packet_accounted(const std::string& path, const DeviceCatalog& catalog) {
  Result<std::unique_ptr<NetDevice>> device = catalog.open("pcap:" + path + ",name=dut");
  if (!device) {
    EXPECT_TRUE(refused_with_reason(device.error())) << path << ": " << device.error().text;
    return;
  }
  Swallow handler;
  EngineOptions options;
  options.cpus = {0, 1};
  options.pool_packets = 512;
  const auto engine = std::move(Engine::create(options).value());
  ASSERT_TRUE(engine->add_handler(kEthPIp, handler));
  ASSERT_TRUE(engine->add_handler(kEthPIpv6, handler));
  ASSERT_TRUE(engine->attach(std::move(*device)));
  ASSERT_TRUE(engine->write("/sys/class/net/dut/queues/rx-0/rps_cpus", "3"));
  ThreadExecutor executor(*engine, {});
  ASSERT_TRUE(executor.start());
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!engine->drained() && std::chrono::steady_clock::now() < give_up)
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  executor.stop();

  const EngineStats stats = engine->stats();
  EXPECT_TRUE(engine->drained()) << path << ": not at its end after 60 s";
  EXPECT_TRUE(stats.conservation.holds()) << path;
  EXPECT_EQ(stats.conservation.packets_out, 0u) << path;
  ASSERT_EQ(stats.devices.size(), 1u);
  EXPECT_EQ(stats.devices[0].queues[0].rx_packets, stats.conservation.received) << path;
  const Result<Capture> capture = read_capture_file(path, {});
  ASSERT_TRUE(capture) << path;
  EXPECT_EQ(stats.devices[0].queues[0].rx_packets + stats.devices[0].queues[0].rx_length_errors, capture->frames.size())
      << path;
}

class Captures : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    paths_ = captures_in(GetParam());
    if (paths_.empty()) GTEST_SKIP() << "no captures in " << GetParam() << "; -DNETRX_CAPTURES=FOLDER names others";
  }
  std::vector<std::string> paths_;
};

TEST_P(Captures, FastDissectorAndHashesEqualTheirNaiveTwins) {
  wire::HashCheck hashes(SipHashKey{1, 2}, 3);
  for (const std::string& path : paths_) expect_dissector_equals_its_twin(path, hashes);
}

TEST_P(Captures, MergedAndCutEveryFrameComesBack) {
  const std::vector<GroEndpoint> tunnels{{GroEndpoint::Kind::vxlan, wire::VxlanView::kPort},
                                         {GroEndpoint::Kind::geneve, wire::GeneveView::kPort}};
  std::size_t merged = 0;
  for (const std::string& path : paths_) {
    expect_merging_loses_nothing(path, {}, merged);
    expect_merging_loses_nothing(
        path, {.udp_forwarding = true, .in_order = true, .flow_buckets = 64, .endpoints = tunnels}, merged);
    expect_merging_loses_nothing(path, {.fraglist = true, .max_skb_frags = 2}, merged);
  }
  EXPECT_GT(merged, 1000u);
}

TEST_P(Captures, EveryPacketIsAccountedFor) {
  DeviceCatalog catalog = DeviceCatalog::builtin();
  add_pcap_devices(catalog);
  for (const std::string& path : paths_) expect_every_packet_accounted(path, catalog);
}

INSTANTIATE_TEST_SUITE_P(All, Captures, testing::Values(NETRX_SAMPLES, NETRX_CAPTURES),
                         [](const auto& folder) { return folder.index == 0 ? "Samples" : "Shared"; });

}  // namespace
}  // namespace netrx
