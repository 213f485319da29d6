// SPDX-License-Identifier: Apache-2.0
// RPS and RFS: which CPU a packet goes to. get_rps_cpu is fed the kernel's own hash of each packet, so that the
// kernel's secret key does not matter.
//
// Nothing here depends on time. A step's packets are sent with softirqs off, so their own CPU finishes none of them
// before all are steered. Whether another CPU has finished some may vary; packets whose way would depend on that are
// not sent. Between steps this thread runs on every CPU once, and so knows that their softirqs are done.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/prng.h"
#include "kernel_fixture.h"
#include "kernel_records.h"
#include "restored_sysctls.h"
#include "softnet/softnet_fixture.h"
#include "steer/get_rps_cpu.h"
#include "wire/frame_builder.h"

namespace netrx::conformance {
namespace {

constexpr const char* kRpsCpus = "/sys/class/net/vb/queues/rx-0/rps_cpus";
constexpr const char* kRpsFlowCnt = "/sys/class/net/vb/queues/rx-0/rps_flow_cnt";
constexpr const char* kSockFlowEntries = "/proc/sys/net/core/rps_sock_flow_entries";

std::string mask_text(std::uint32_t mask) {
  char text[16];
  std::snprintf(text, sizeof text, "%x", mask);
  return text;
}

class SteerConformance : public KernelTestWith<SoftnetTest> {
 protected:
  void SetUp() override {
    KernelTestWith<SoftnetTest>::SetUp();
    if (IsSkipped()) return;
    if (Kernel::cpus().size() < 2) GTEST_SKIP() << "skipped: one CPU leaves nothing to steer";
    if (Kernel::cpus().back() >= 32) GTEST_SKIP() << "skipped: written for CPUs 0 to 31";
    make_cpus(static_cast<std::uint16_t>(sysconf(_SC_NPROCESSORS_CONF)));
    dev_ = &add_device(1);
  }
  void TearDown() override {
    if (dev_ != nullptr) {
      EXPECT_EQ(Kernel::write(kRpsCpus, "0"), 0);
      EXPECT_EQ(Kernel::write(kRpsFlowCnt, "0"), 0);
    }
    KernelTestWith<SoftnetTest>::TearDown();
  }

  void set_map(std::uint32_t mask) {
    ASSERT_EQ(Kernel::write(kRpsCpus, mask_text(mask)), 0);
    std::vector<std::uint16_t> cpus;
    for (std::uint16_t i = 0; i < 32; ++i)
      if ((mask >> i & 1) != 0) cpus.push_back(i);
    rps_cpus(*dev_, cpus);
  }

  RpsDecision decide(std::uint32_t hash, const PendingFlows& pending = {}) {
    Packet* p = packet(*dev_, hash);
    const SteerTables tables = steer_tables(net, *p);
    RpsDecision decision{.rule = tables.why_not};
    if (tables.steers()) decision = get_rps_cpu(net, cpu(0), tables, *p, pending);
    cpu(0).pool->put({&p, 1});
    return decision;
  }

  Netif* dev_ = nullptr;
};

/// Some of the subsets of the CPUs there are, all if they are few.
std::vector<std::uint32_t> masks() {
  std::uint32_t all = 0;
  for (const int cpu : Kernel::cpus()) all |= 1u << cpu;
  std::vector<std::uint32_t> subsets;
  for (std::uint32_t mask = all; subsets.size() < 64; mask = (mask - 1) & all) {
    subsets.push_back(mask);
    if (mask == 0) break;
  }
  return subsets;
}

TEST_F(SteerConformance, RpsGoesWhereTheKernelGoes) {
  Prng prng(11);
  const auto port = [&] { return static_cast<unsigned>(prng.below(65536)); };
  std::size_t sent = 0, compared = 0;
  for (const bool gro : {false, true}) {  // without and with a NAPI
    kernel().set_feature("gro", gro);
    for (const std::uint32_t mask : masks()) {
      set_map(mask);
      for (int round = 0; round < 10; ++round) {
        std::vector<Arrival> arrivals;
        for (int i = 0; i < NETRX_MAX_ARRIVALS; ++i)
          arrivals.push_back(
              {.frame = wire::FrameBuilder().eth().ipv4("10.1.0.1", "10.1.0.2").udp(port(), port()).build()});
        const int from = Kernel::cpus()[prng.below(Kernel::cpus().size())];
        const Result<std::vector<Seen>> seen = kernel().receive_on(from, arrivals);
        ASSERT_TRUE(seen) << seen.error().text;
        sent += arrivals.size();
        compared += seen->size();
        for (const Seen& one : *seen) {
          const RpsDecision decision = decide(one.handed.hash);
          EXPECT_EQ(static_cast<int>(one.cpu), decision.cpu < 0 ? from : decision.cpu)
              << "mask " << mask << " hash " << one.handed.hash;
        }
      }
    }
  }
  EXPECT_GT(compared, sent / 10 * 9);
}

// ---- RFS ------------------------------------------------------------------------------------------------------------

/// A flow and the socket that reads it.
struct Flow {
  std::uint16_t port = 0;
  std::uint32_t hash = 0;
  int socket = -1;
  bool known = false;  ///< a packet has come, so that the socket knows the flow's hash
};

class RfsConformance : public SteerConformance {
 protected:
  static constexpr std::uint32_t kSlots = 2;

  void SetUp() override {
    SteerConformance::SetUp();
    if (IsSkipped()) return;
    kernel().set_feature("gro", false);
    ASSERT_EQ(std::system("ip addr replace 10.1.0.2/24 dev vb"), 0);
    set_map(1u << Kernel::cpus().front());
    if (!set_sock_flow_entries(1024)) GTEST_SKIP() << "skipped: rps_sock_flow_entries is not to be had here";
    ASSERT_EQ(Kernel::write(kRpsFlowCnt, std::to_string(kSlots)), 0);
    rps_flow_cnt(*dev_, kSlots);
    find_flows();
  }
  void TearDown() override {
    for (const Flow& flow : flows_) close(flow.socket);
    SteerConformance::TearDown();
  }

  bool set_sock_flow_entries(std::uint32_t entries) {
    int error = ENOENT;
    Kernel::home().run([&] {
      if (!restored_) restored_ = std::make_unique<RestoredSysctls>(std::vector<std::string>{kSockFlowEntries});
      error = Kernel::write(kSockFlowEntries, std::to_string(entries));
    });
    rps_sock_flow_entries(entries);
    return error == 0;
  }

  static Arrival datagram(std::uint16_t port, std::uint32_t number) {
    const std::uint8_t bytes[4] = {static_cast<std::uint8_t>(number >> 24), static_cast<std::uint8_t>(number >> 16),
                                   static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
    return {.frame = wire::FrameBuilder().eth().ipv4("10.1.0.1", "10.1.0.2").udp(port, 443).raw(bytes).build()};
  }

  /// Four flows, two and two in a slot of the queue's table, by the slot function of 6.12 and by later ones too.
  void find_flows() {
    std::vector<Arrival> arrivals;
    for (std::uint16_t port = 1; port <= 60; ++port) arrivals.push_back(datagram(port, port));
    const Result<std::vector<Seen>> seen = kernel().receive_on(Kernel::cpus().front(), arrivals);
    ASSERT_TRUE(seen) << seen.error().text;
    std::vector<Flow> slots[2];
    for (const Seen& one : *seen) {
      const std::uint32_t hash = one.handed.hash;
      const auto port = static_cast<std::uint16_t>(one.handed.bytes[20] << 8 | one.handed.bytes[21]);
      if ((hash & 1) == (hash * 0x61c88647u) >> 31) slots[hash & 1].push_back({.port = port, .hash = hash});
    }
    for (const auto& slot : slots) {
      ASSERT_GE(slot.size(), 2u);
      flows_.insert(flows_.end(), slot.begin(), slot.begin() + 2);
    }
    for (Flow& flow : flows_) open_socket(flow);
  }

  static void open_socket(Flow& flow) {
    flow.socket = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(flow.socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in here{}, there{};
    here.sin_family = there.sin_family = AF_INET;
    here.sin_port = htons(443);
    here.sin_addr.s_addr = htonl(0x0a010002);
    there.sin_port = htons(flow.port);
    there.sin_addr.s_addr = htonl(0x0a010001);
    ASSERT_EQ(bind(flow.socket, reinterpret_cast<sockaddr*>(&here), sizeof here), 0);
    ASSERT_EQ(connect(flow.socket, reinterpret_cast<sockaddr*>(&there), sizeof there), 0);
  }

  /// The thread that reads this flow is on `reader`.
  void read(Flow& flow, int reader) {
    const PinnedTo pinned(reader);
    std::uint8_t bytes[64];
    while (recv(flow.socket, bytes, sizeof bytes, 0) >= 0) {
    }
    if (flow.known) net.rps_sock_flow_table.read()->record(flow.hash, static_cast<std::uint32_t>(reader));
  }

  /// Every CPU has come to the end of its softirqs.
  static void settle() {
    for (const int cpu : Kernel::cpus()) const PinnedTo visit(cpu);
  }

  /// Puts one packet on the model's backlog of `target`.
  void enqueue(int target, const RpsDecision& decision) {
    SoftnetData& sd = cpu(static_cast<std::uint32_t>(target));
    Packet* p = packet(*dev_);
    SpinGuard guard(sd.input.lock(), actor);
    EXPECT_GE(sd.input.room(1), 1u);
    sd.input.append({&p, 1});
    if (decision.flow != nullptr) decision.flow->last_qtail = sd.input.tail();
  }
  void finish_all() {
    for (const int i : Kernel::cpus()) take_backlog(cpu(static_cast<std::uint32_t>(i)));
  }

  /// Whether a packet's way depends on how far another CPU has come: its flow wishes to leave that CPU, and packets
  /// are on their way there.
  bool depends_on_time(const Flow& flow, int from, const std::map<int, int>& sent) {
    const RpsSockFlowTable& wishes = *net.rps_sock_flow_table.read();
    const std::uint32_t entry = wishes.read(flow.hash);
    const int now = dev_->rx_queues[0]->rps_flow_table.read()->slot(flow.hash).cpu;
    const bool wishes_to_leave =
        ((entry ^ flow.hash) & ~wishes.cpu_mask()) == 0 && static_cast<int>(entry & wishes.cpu_mask()) != now;
    return wishes_to_leave && now != from && sent.contains(now);
  }

  /// Steers a burst by the model, sends it, and compares the CPUs. Returns how many packets were sent.
  void burst(Prng& prng, int from) {
    std::vector<Arrival> arrivals;
    std::map<std::vector<std::uint8_t>, int> expected;  // by the packet's bytes
    std::map<int, int> sent;
    for (std::uint64_t left = prng.between(1, 12); left > 0; --left) {
      Flow& flow = flows_[prng.below(flows_.size())];
      if (depends_on_time(flow, from, sent)) continue;
      const RpsDecision decision = decide(flow.hash);
      const int target = decision.cpu < 0 ? from : decision.cpu;
      enqueue(target, decision);
      ++sent[target];
      switches_ += decision.rule == RpsRule::kSwitchedToConsumer;
      held_ += decision.rule == RpsRule::kHeldForOrder;
      arrivals.push_back(datagram(flow.port, next_number_++));
      const auto& bytes = arrivals.back().frame.bytes;
      expected[{bytes.begin() + NETRX_LINK_HEADER, bytes.end()}] = target;
      flow.known = true;
    }
    const Result<std::vector<Seen>> seen = kernel().receive_on(from, arrivals);
    ASSERT_TRUE(seen) << seen.error().text;
    for (const Seen& one : *seen) EXPECT_EQ(static_cast<int>(one.cpu), expected.at(one.handed.bytes));
    packets_ += seen->size();
    settle();
    finish_all();
  }

  std::vector<Flow> flows_;
  std::size_t packets_ = 0, switches_ = 0, held_ = 0;

 private:
  std::unique_ptr<RestoredSysctls> restored_;
  std::uint32_t next_number_ = 1000;
};

TEST_F(RfsConformance, FollowsAReaderThatMoves) {
  Prng prng(5);
  const std::vector<int> cpus = Kernel::cpus();
  const auto any_cpu = [&] { return cpus[prng.below(cpus.size())]; };
  for (int step = 0; step < 600 && !HasFailure(); ++step) {
    for (Flow& flow : flows_)
      if (prng.below(3) == 0) read(flow, any_cpu());
    if (prng.below(40) == 0) set_sock_flow_entries(1024);  // forgets all wishes
    if (prng.below(40) == 0) set_map(1u << any_cpu());
    burst(prng, any_cpu());
  }
  EXPECT_GT(packets_, 1000u);
  EXPECT_GT(switches_, 50u);
  EXPECT_GT(held_, 10u);
}

}  // namespace
}  // namespace netrx::conformance
