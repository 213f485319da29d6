// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "gro/gro_fixture.h"
#include "netrx/gro.h"

namespace netrx {
namespace {

constexpr std::uint32_t kBurst = 256;  // segments between two flushes: four full polls
constexpr std::uint32_t kBursts = 16;
constexpr std::uint32_t kPayload = 1460;

/// In which order the segments of a burst's flows arrive. Each flow's own are in order.
enum class Interleaving { runs, turns, shuffled };

std::vector<std::uint32_t> flows_of_burst(std::uint32_t flows, Interleaving how, Prng& prng) {
  std::vector<std::uint32_t> order(kBurst);
  for (std::uint32_t i = 0; i < kBurst; ++i) order[i] = how == Interleaving::turns ? i % flows : i / (kBurst / flows);
  if (how == Interleaving::shuffled)
    for (std::uint32_t i = kBurst; i-- > 1;) std::swap(order[i], order[prng.below(i + 1)]);
  return order;
}

/// How GRO tells flows apart before it compares them.
struct Buckets {
  bool device_hash;
  std::uint32_t by_flow;  ///< net.netrx.gro_flow_buckets
};

/// Segments that came, divided by packets that went up.
double segments_per_packet(std::uint32_t flows, Interleaving how, const Buckets& buckets) {
  std::unique_ptr<Gro> gro = Gro::create({.flow_buckets = buckets.by_flow}).value();
  Prng prng(flows);
  std::vector<std::uint32_t> hashes(flows), sent(flows);
  for (std::uint32_t& hash : hashes) hash = buckets.device_hash ? static_cast<std::uint32_t>(prng.next()) : 0;
  std::size_t up = 0;
  for (std::uint32_t burst = 0; burst < kBursts; ++burst) {
    PacketMaker maker;
    for (const std::uint32_t flow : flows_of_burst(flows, how, prng)) {
      Packet& packet = maker.make(
          tcp(Family::ipv4,
              {.at = sent[flow]++ * kPayload, .size = kPayload, .port = static_cast<std::uint16_t>(1000 + flow)}));
      packet.hash = hashes[flow];
      packet.ip_summed = IpSummed::unnecessary;
      gro->receive(packet);
      up += gro->take().size();
    }
    gro->flush();
    up += gro->take().size();
  }
  return static_cast<double>(kBurst * kBursts) / static_cast<double>(up);
}

std::string table() {
  std::string text =
      "| flows | buckets | runs | turns | shuffled |\n"
      "|---|---|---|---|---|\n";
  const auto row = [&](std::uint32_t flows, const char* name, const Buckets& buckets) {
    char line[120];
    std::snprintf(line, sizeof line, "| %u | %s | %.2f | %.2f | %.2f |\n", flows, name,
                  segments_per_packet(flows, Interleaving::runs, buckets),
                  segments_per_packet(flows, Interleaving::turns, buckets),
                  segments_per_packet(flows, Interleaving::shuffled, buckets));
    text += line;
  };
  for (const std::uint32_t flows : {1u, 4u, 16u, 64u}) {
    row(flows, "kernel's, no device hash", {.device_hash = false, .by_flow = 0});
    row(flows, "kernel's, device hash", {.device_hash = true, .by_flow = 0});
    row(flows, "`gro_flow_buckets` 64", {.device_hash = false, .by_flow = 64});
  }
  return text;
}

// How much merging is to be had, which a change of the rules must not lessen unseen. The table stands in the
// documentation; put the new one there after judging it.
TEST(MergeTable, IsWhatTheDocumentationSays) {
  std::ifstream file(NETRX_BENCHMARKS_MD);
  const std::string documentation(std::istreambuf_iterator<char>(file), {});
  ASSERT_FALSE(documentation.empty()) << NETRX_BENCHMARKS_MD;
  const std::string now = table();
  EXPECT_NE(documentation.find(now), std::string::npos) << "docs/benchmarks.md does not have this table:\n" << now;
}

}  // namespace
}  // namespace netrx
