// SPDX-License-Identifier: Apache-2.0
// The flow hash. Bit for bit where the kernel lets its key be chosen, which is where it picks one of several routes; on
// the receive path, whose key is secret, by what does not depend on it: which packets have the same hash, and which
// hashes cover ports.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>

#include "base/prng.h"
#include "driver/pcap/capture.h"
#include "kernel_fixture.h"
#include "kernel_records.h"
#include "netrx/flow.h"
#include "wire/random_frame.h"

namespace netrx::conformance {
namespace {

using wire::Frame;

class HashConformance : public KernelTest {};

// ---- with a key of our own ------------------------------------------------------------------------------------------

std::string lines_of(const std::string& command) {
  std::string text;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  char buffer[4096];
  while (pipe && std::fgets(buffer, sizeof buffer, pipe.get()) != nullptr) text += buffer;
  return text;
}

/// A flow that looks for its route.
struct Query {
  std::string source, destination;
  std::uint16_t src_port, dst_port;
  bool tcp;
};

/// The kernel's answers: the number of the nexthop, of as many as there are.
std::vector<unsigned> routes(const std::string& family, const std::string& gateway, const std::vector<Query>& queries) {
  std::string script;
  for (const Query& q : queries)
    script += fmt::format("route get {} from {} ipproto {} sport {} dport {}\n", q.destination, q.source,
                          q.tcp ? "tcp" : "udp", q.src_port, q.dst_port);
  const std::string answers = lines_of(fmt::format("ip {} -batch - <<'END'\n{}END\n", family, script));
  std::vector<unsigned> hops;
  for (std::size_t at = 0; (at = answers.find("via " + gateway, at)) != std::string::npos; ++at)
    hops.push_back(
        static_cast<unsigned>(std::stoul(answers.substr(at + 4 + gateway.size()), nullptr, family == "-6" ? 16 : 10)));
  return hops;
}

/// Which of `n` equal nexthops takes a flow: the upper 31 bits of its hash, in `n` equal parts.
unsigned expected_hop(std::uint32_t hash, unsigned n) {
  const std::uint64_t value = hash >> 1;
  for (unsigned hop = 0; hop < n; ++hop)
    if (value <= ((std::uint64_t{hop} + 1) * (1u << 31) + n / 2) / n - 1) return hop;
  return n;
}

template <class Address>
FlowKeys keys_of(const Query& q, FlowAddrType type) {
  FlowKeys keys{};
  keys.addr_type = type;
  keys.ip_proto = q.tcp ? wire::kIpProtoTcp : wire::kIpProtoUdp;
  keys.src_port = to_be16(q.src_port);
  keys.dst_port = to_be16(q.dst_port);
  const Address from(std::string_view(q.source)), to(std::string_view(q.destination));
  std::ranges::copy(from.bytes, keys.addrs.begin());
  std::ranges::copy(to.bytes, keys.addrs.begin() + from.bytes.size());
  return keys;
}

template <class Address>
void expect_same_hops(const std::vector<Query>& queries, const std::vector<unsigned>& hops, unsigned n,
                      std::uint32_t seed) {
  ASSERT_EQ(hops.size(), queries.size());
  const std::uint64_t half = std::uint64_t{seed} << 32 | seed;  // Kernel: siphash_key_t of fib_multipath_hash_seed
  const SipHash hash(SipHashKey{half, half});
  for (std::size_t i = 0; i < queries.size(); ++i) {
    FlowKeys keys = keys_of<Address>(queries[i], sizeof(Address) == 4 ? FlowAddrType::ipv4 : FlowAddrType::ipv6);
    consistentify(keys);
    EXPECT_EQ(hops[i], expected_hop(hash.hash(keys), n)) << queries[i].source << ":" << queries[i].src_port << " > "
                                                         << queries[i].destination << ":" << queries[i].dst_port;
  }
}

constexpr std::uint32_t kSeed = 12345;
constexpr std::size_t kQueries = 500;

TEST_F(HashConformance, Ipv4BitForBitUnderAKeyOfOurs) {
  constexpr unsigned kHops = 64;
  ASSERT_EQ(Kernel::write("/proc/sys/net/ipv4/fib_multipath_hash_policy", "1"), 0);
  if (Kernel::write("/proc/sys/net/ipv4/fib_multipath_hash_seed", std::to_string(kSeed)) != 0)
    GTEST_SKIP() << "skipped: this kernel has no fib_multipath_hash_seed (6.11 and later)";
  std::string nexthops;
  for (unsigned i = 0; i < kHops; ++i) nexthops += fmt::format(" nexthop via 10.99.0.{} dev va onlink", i + 10);
  lines_of("ip addr add 10.99.0.1/24 dev va && ip route add 10.50.0.0/16" + nexthops);
  Prng prng(1);
  std::vector<Query> queries;
  for (std::size_t i = 0; i < kQueries; ++i)
    queries.push_back({"10.99.0.1", fmt::format("10.50.{}.{}", prng.below(256), prng.between(1, 254)),
                       static_cast<std::uint16_t>(prng.between(1, 65535)),
                       static_cast<std::uint16_t>(prng.between(1, 65535)), prng.below(2) == 0});
  std::vector<unsigned> hops = routes("-4", "10.99.0.", queries);
  for (unsigned& hop : hops) hop -= 10;
  expect_same_hops<wire::Ip4>(queries, hops, kHops, kSeed);
}

TEST_F(HashConformance, Ipv6BitForBitUnderAKeyOfOurs) {
  constexpr unsigned kHops = 16;
  if (Kernel::write("/proc/sys/net/ipv4/fib_multipath_hash_seed", std::to_string(kSeed)) != 0)
    GTEST_SKIP() << "skipped: this kernel has no fib_multipath_hash_seed (6.11 and later)";
  for (const char* which : {"all", "va"})
    ASSERT_EQ(Kernel::write(fmt::format("/proc/sys/net/ipv6/conf/{}/disable_ipv6", which), "0"), 0);
  ASSERT_EQ(Kernel::write("/proc/sys/net/ipv6/fib_multipath_hash_policy", "1"), 0);
  std::string nexthops, neighbours;
  for (unsigned i = 0; i < kHops; ++i) {
    nexthops += fmt::format(" nexthop via fd00:1::{:x} dev va", i + 0x10);
    neighbours +=
        fmt::format("ip -6 neigh add fd00:1::{0:x} lladdr 02:00:00:00:01:{0:02x} dev va nud permanent\n", i + 0x10);
  }
  lines_of("ip -6 addr add fd00:1::1/64 dev va nodad\n" + neighbours + "ip -6 route add fd50::/16" + nexthops);
  Prng prng(2);
  std::vector<Query> queries;
  for (std::size_t i = 0; i < kQueries; ++i)
    queries.push_back({"fd00:1::1", fmt::format("fd50::{:x}:{:x}", prng.between(1, 65535), prng.between(1, 65535)),
                       static_cast<std::uint16_t>(prng.between(1, 65535)),
                       static_cast<std::uint16_t>(prng.between(1, 65535)), false});
  std::vector<unsigned> hops = routes("-6", "fd00:1::", queries);
  for (unsigned& hop : hops) hop -= 0x10;
  expect_same_hops<wire::Ip6>(queries, hops, kHops, kSeed);
  ASSERT_EQ(Kernel::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"), 0);
}

// ---- with the receive path's own key --------------------------------------------------------------------------------

/// What of a flow's keys is hashed, as the key of a map.
std::string hashed(const FlowKeys& keys) {
  const auto bytes = keys.hashed_bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

FlowKeys keys_of(const Arrival& arrival, std::uint32_t tipc_probe_key = 0) {
  FlowInput in = arrival.frame.flow_input();
  in.tipc_probe_key = tipc_probe_key;
  in.vlan_present = arrival.vlan_proto != Be16{};
  in.vlan_proto = arrival.vlan_proto;
  in.vlan_tci = arrival.vlan_tci;
  FlowKeys keys;
  dissect(in, keys);
  consistentify(keys);
  return keys;
}

class ReceiveHash : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    if (IsSkipped()) return;
    kernel().set_feature("gro", false);
    // Hashes are computed where RPS is asked.
    ASSERT_EQ(Kernel::write("/sys/class/net/vb/queues/rx-0/rps_cpus", "1"), 0);
  }
  void TearDown() override {
    if (!IsSkipped()) {
      EXPECT_EQ(Kernel::write("/sys/class/net/vb/queues/rx-0/rps_cpus", "0"), 0);
    }
  }

  void add(const Arrival& arrival) {
    waiting_.push_back(arrival);
    if (waiting_.size() == NETRX_MAX_ARRIVALS) compare();
  }
  /// Packets with equal keys have equal hashes, and others other hashes.
  void compare() {
    const Result<std::vector<Seen>> seen = kernel().receive(waiting_);
    ASSERT_TRUE(seen) << seen.error().text;
    ASSERT_EQ(seen->size(), waiting_.size());
    for (std::size_t i = 0; i < seen->size(); ++i) {
      const FlowKeys keys = keys_of(waiting_[i]);
      const std::uint32_t hash = (*seen)[i].handed.hash;
      ASSERT_NE(hash, 0u);
      EXPECT_EQ((*seen)[i].l4_hash, keys.have_l4()) << text((*seen)[i].handed);
      // A TIPC keep-alive probe's key is drawn by lot.
      if (hashed(keys) != hashed(keys_of(waiting_[i], 1))) continue;
      EXPECT_EQ(hash_of_.emplace(hashed(keys), hash).first->second, hash)
          << "one flow here, several in the kernel: " << text((*seen)[i].handed);
      if (keys_of_.emplace(hash, hashed(keys)).first->second != hashed(keys)) {
        ++by_chance_;
        last_ = text((*seen)[i].handed);
      }
      ++packets_;
    }
    waiting_.clear();
  }
  /// Two of so many flows have the same 32 bits by chance now and then; four pairs never.
  void expect_few_by_chance() {
    compare();
    EXPECT_LE(by_chance_, 3u) << "one flow in the kernel, several here; the last: " << last_;
  }

  std::size_t packets_ = 0;
  std::map<std::string, std::uint32_t> hash_of_;

 private:
  std::vector<Arrival> waiting_;
  std::map<std::uint32_t, std::string> keys_of_;
  std::size_t by_chance_ = 0;
  std::string last_;
};

TEST_F(ReceiveHash, WhichBytesOfAFrameMatter) {
  // Each frame, then the same with one byte changed after the other: the kernel's hash changes when ours does.
  Prng prng(7);
  for (int n = 0; n < 400; ++n) {
    const Frame frame = wire::random_frame(prng);
    if (frame.size() > NETRX_MAX_FRAME) continue;
    add({.frame = frame});
    const std::size_t stride = 1 + frame.size() / 60;
    for (std::size_t at = 12 + prng.below(stride); at < frame.size(); at += stride) {
      Frame other = frame;
      other.bytes[at] ^= static_cast<std::uint8_t>(1u << prng.below(8));
      add({.frame = other});
    }
  }
  expect_few_by_chance();
  EXPECT_GT(packets_, 10000u);
}

TEST_F(ReceiveHash, BothDirectionsAndTagsTakenOut) {
  Prng prng(8);
  for (int n = 0; n < 300; ++n) {
    const auto address = [&] { return wire::Ip4(static_cast<std::uint32_t>(prng.next())); };
    const wire::Ip4 a = address(), b = address();
    const auto p = static_cast<unsigned>(prng.below(65536)), q = static_cast<unsigned>(prng.below(65536));
    for (const auto& [from, to, sport, dport] : {std::tuple(a, b, p, q), {b, a, q, p}, {a, b, q, p}, {b, a, p, q}}) {
      Arrival arrival{.frame = wire::FrameBuilder().eth().ipv4(from, to).udp(sport, dport).payload(9).build()};
      add(arrival);
      arrival.vlan_proto = n % 2 == 0 ? kEthP8021q : kEthP8021ad;
      arrival.vlan_tci = static_cast<std::uint16_t>(prng.below(65536));
      add(arrival);
    }
  }
  expect_few_by_chance();
  EXPECT_LT(hash_of_.size(), packets_);
}

class ReceiveHashOfCaptures : public ReceiveHash, public testing::WithParamInterface<const char*> {};

TEST_P(ReceiveHashOfCaptures, SameFlowsAsTheKernels) {
  std::error_code missing;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(GetParam(), missing)) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".pcap" && extension != ".pcapng" && extension != ".trace") continue;
    const Result<Capture> capture = read_capture_file(entry.path().string(), {});
    if (!capture || !capture->has_link_header()) continue;
    for (const CapturedFrame& frame : capture->frames) {
      const auto bytes = capture->bytes_of(frame);
      if (bytes.size() < NETRX_LINK_HEADER || bytes.size() > NETRX_MAX_FRAME) continue;
      add({.frame = {{bytes.begin(), bytes.end()}}});
    }
  }
  expect_few_by_chance();
  if (packets_ == 0)
    GTEST_SKIP() << "skipped: no captures in " << GetParam() << "; -DNETRX_CAPTURES=FOLDER names others";
  EXPECT_GT(hash_of_.size(), 100u);
}
INSTANTIATE_TEST_SUITE_P(All, ReceiveHashOfCaptures, testing::Values(NETRX_SAMPLES, NETRX_CAPTURES),
                         [](const auto& folder) { return folder.index == 0 ? "Samples" : "Shared"; });

}  // namespace
}  // namespace netrx::conformance
