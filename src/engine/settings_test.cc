// SPDX-License-Identifier: Apache-2.0
#include "engine/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/settings_test_support.h"

namespace netrx {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kRpsCpus = "/sys/class/net/eth0/queues/rx-0/rps_cpus";
constexpr std::string_view kRpsFlowCnt = "/sys/class/net/eth0/queues/rx-0/rps_flow_cnt";

/// An engine with eth0, which has two queues.
class Bench {
 public:
  explicit Bench(std::vector<std::uint16_t> cpus = {0, 1, 2, 3}, std::uint32_t hz = 250)
      : engine_(std::move(*Engine::create({.cpus = std::move(cpus), .pool_packets = 64, .hz = hz}))) {
    attach("eth0", 2);
  }

  EngineCore& core() { return engine_->core(); }
  Softnet& net() { return core().net; }
  void attach(std::string name, std::size_t queues) {
    if (!engine_->attach(std::make_unique<SilentDevice>(std::move(name), queues))) std::abort();
  }
  NetifRxQueue& queue(std::string_view device = "eth0") { return *core().find(device)->rx_queues[0]; }

  /// The errno, 0 for success.
  int write(std::string_view path, std::string_view text) {
    const Result<void> written = write_setting(core(), path, text);
    return written ? 0 : written.error().code;
  }
  std::string refusal(std::string_view path, std::string_view text) {
    const Result<void> written = write_setting(core(), path, text);
    return written ? "accepted" : written.error().text;
  }
  /// Without the newline that every answer must end with.
  std::string read(std::string_view path) {
    Result<std::string> text = read_setting(core(), path);
    if (!text) return text.error().text;
    EXPECT_THAT(*text, testing::EndsWith("\n")) << path;
    text->pop_back();
    return *text;
  }

 private:
  std::unique_ptr<Engine> engine_;
};

// ---- /proc/sys/net/core ------------------------------------------------------------------------------------------

struct IntRow {
  std::string_view name;
  std::string_view initial;
  std::vector<std::string_view> accepted;  ///< each reads back as written
  std::vector<std::string_view> refused;   ///< each with EINVAL, and nothing changes
};

TEST(Settings, IntegersHaveTheKernelsDefaultsAndRanges) {
  const std::vector<IntRow> rows = {
      {"netdev_max_backlog", "1000", {"0", "-1", "2147483647", "-2147483648"}, {"2147483648", "x", "1x", "\n"}},
      {"netdev_budget", "300", {"0", "-5", "600"}, {"4294967296", "", "+1"}},
      {"netdev_budget_usecs", "8000", {"8000", "8001", "2147483647"}, {"7999", "0", "-1"}},
      {"dev_weight", "64", {"1", "2147483647"}, {"0", "-1"}},
      {"dev_weight_rx_bias", "1", {"1", "4"}, {"0", "-1"}},
      {"dev_weight_tx_bias", "1", {"1", "4"}, {"0", "-1"}},
      {"gro_normal_batch", "8", {"1", "2147483647"}, {"0", "-1"}},
      {"skb_defer_max", "64", {"0", "128"}, {"-1"}},
      {"netdev_tstamp_prequeue", "1", {"0", "2", "-1"}, {"yes"}},
      {"busy_poll", "0", {"0", "50"}, {"-1"}},
      {"busy_read", "0", {"0", "50"}, {"-1"}},
      {"max_skb_frags", "17", {"1", "17"}, {"0", "18", "-1"}},
      {"flow_limit_table_len", "4096", {"1", "4096", "65536", "1073741824", "-2147483648"}, {"0", "3", "-1", "4095"}},
  };
  for (const IntRow& row : rows) {
    Bench bench;
    const std::string path = "/proc/sys/net/core/" + std::string(row.name);
    EXPECT_EQ(bench.read(path), row.initial) << path;
    for (const std::string_view text : row.refused) {
      EXPECT_EQ(bench.write(path, text), text.empty() ? 0 : EINVAL) << path << ' ' << text;
      EXPECT_EQ(bench.read(path), row.initial) << path << " after " << text;
    }
    for (const std::string_view text : row.accepted) {
      EXPECT_EQ(bench.write(path, text), 0) << path << ' ' << text;
      EXPECT_EQ(bench.read(path), text) << path;
    }
  }
}

TEST(Settings, IntegersAreReadAsBySysctl) {
  Bench bench;
  const std::pair<std::string_view, std::string_view> texts[] = {
      {"0x10\n", "16"}, {"010", "8"}, {" 7 8 9", "7"}, {"-0x1", "-1"}};
  for (const auto& [text, value] : texts) {
    EXPECT_EQ(bench.write("net.core.netdev_max_backlog", text), 0);
    EXPECT_EQ(bench.read("net.core.netdev_max_backlog"), value);
  }
}

TEST(Settings, BudgetTimeIsAtLeastTwoTicks) {
  for (const auto& [hz, least] : {std::pair<std::uint32_t, int>{100, 20000}, {300, 6666}, {1000, 2000}}) {
    Bench bench({0}, hz);
    EXPECT_EQ(bench.read("net.core.netdev_budget_usecs"), std::to_string(least));
    EXPECT_EQ(bench.write("net.core.netdev_budget_usecs", std::to_string(least - 1)), EINVAL);
    EXPECT_EQ(bench.write("net.core.netdev_budget_usecs", std::to_string(least)), 0);
  }
}

TEST(Settings, DevRxWeightIsTheProductOfWeightAndBias) {
  Bench bench;
  const Tunable& derived = bench.net().tunables.dev_rx_weight;
  EXPECT_EQ(derived.read(), 64);
  bench.write("net.core.dev_weight", "32");
  EXPECT_EQ(derived.read(), 32);
  bench.write("net.core.dev_weight_rx_bias", "3");
  EXPECT_EQ(derived.read(), 96);
  bench.write("net.core.dev_weight_tx_bias", "5");
  EXPECT_EQ(derived.read(), 96);
  EXPECT_EQ(bench.write("net.core.dev_weight", "0"), EINVAL);
  EXPECT_EQ(derived.read(), 96);
  bench.write("net.core.dev_weight", "2147483647");  // 3 * (2^31 - 1), less 2^32
  EXPECT_EQ(derived.read(), 2147483645);
  bench.write("net.core.dev_weight", "65536");
  bench.write("net.core.dev_weight_rx_bias", "65536");  // 2^32
  EXPECT_EQ(derived.read(), 1);
  bench.write("net.core.dev_weight_rx_bias", "32768");  // 2^31
  EXPECT_EQ(derived.read(), 1);
}

TEST(Settings, RssKeyIsOnlyRead) {
  Bench bench;
  EXPECT_THAT(bench.read("net.core.netdev_rss_key"), AllOf(testing::StartsWith("6d:5a:56:da:"), testing::SizeIs(119)));
  EXPECT_EQ(bench.refusal("net.core.netdev_rss_key", "1"), "netdev_rss_key: EACCES: this setting is only read");
}

// ---- the global flow table ---------------------------------------------------------------------------------------

TEST(SockFlowEntries, AreRoundedUpToAPowerOfTwo) {
  const std::pair<std::string_view, std::uint32_t> sizes[] = {
      {"0", 0}, {"1", 1}, {"3", 4}, {"32768", 32768}, {"40000", 65536}, {"536870912", 1u << 29}};
  for (const auto& [text, size] : sizes) EXPECT_EQ(rps_sock_flow_table_size(text).value_or(7), size) << text;
  for (const std::string_view text : {"536870913", "-1", "x", "4294967296"})
    EXPECT_EQ(rps_sock_flow_table_size(text).error().code, EINVAL) << text;

  Bench bench;
  EXPECT_EQ(bench.read("net.core.rps_sock_flow_entries"), "0");
  EXPECT_EQ(bench.write("net.core.rps_sock_flow_entries", "40000"), 0);
  EXPECT_EQ(bench.read("net.core.rps_sock_flow_entries"), "65536");
  EXPECT_EQ(bench.net().rps_sock_flow_table.read()->cpu_mask(), 3u);
}

class SockFlowTable : public testing::Test {
 protected:
  static constexpr std::uint32_t kHash = 0xdeadbeef;

  SockFlowTable() {
    EXPECT_EQ(bench_.write(kPath, "1000"), 0);
    table()->record(kHash, 2);
  }
  RpsSockFlowTable* table() { return bench_.net().rps_sock_flow_table.read(); }
  bool cleared() { return table()->read(kHash) == RpsSockFlowTable::kEmpty; }

  static constexpr std::string_view kPath = "net.core.rps_sock_flow_entries";
  Bench bench_;
};

TEST_F(SockFlowTable, OfTheSameSizeIsClearedInPlace) {
  const RpsSockFlowTable* before = table();
  EXPECT_FALSE(cleared());
  EXPECT_EQ(bench_.write(kPath, "1024"), 0);
  EXPECT_EQ(table(), before);
  EXPECT_TRUE(cleared());
}

TEST_F(SockFlowTable, IsClearedByAMalformedTextThoughItIsRefused) {
  EXPECT_EQ(bench_.write(kPath, "x"), EINVAL);
  EXPECT_EQ(table()->size(), 1024u);
  EXPECT_TRUE(cleared());
}

TEST_F(SockFlowTable, IsClearedByAnEmptyText) {
  EXPECT_EQ(bench_.write(kPath, ""), 0);
  EXPECT_TRUE(cleared());
}

TEST_F(SockFlowTable, IsLeftAloneByASizeOutOfRange) {
  EXPECT_EQ(bench_.write(kPath, "-1"), EINVAL);
  EXPECT_EQ(bench_.write(kPath, "536870913"), EINVAL);
  EXPECT_FALSE(cleared());
}

TEST_F(SockFlowTable, CountsOnceInRpsNeeded) {
  EXPECT_EQ(bench_.net().rps_needed.load(), 1);
  bench_.write(kPath, "4096");
  EXPECT_EQ(bench_.net().rps_needed.load(), 1);
  EXPECT_TRUE(cleared());
  bench_.write(kPath, "0");
  EXPECT_EQ(bench_.net().rps_needed.load(), 0);
  EXPECT_EQ(table(), nullptr);
  bench_.write(kPath, "0");
  bench_.write(kPath, "x");
  EXPECT_EQ(bench_.net().rps_needed.load(), 0);
}

// ---- masks -------------------------------------------------------------------------------------------------------

TEST(RpsCpus, TakesMasksAndPrintsTheMap) {
  Bench bench;
  EXPECT_EQ(bench.read(kRpsCpus), "0");
  struct {
    std::string_view text;
    int code;
    std::string_view after;
  } const rows[] = {{"f", 0, "f"},   {"1f", EOVERFLOW, "f"}, {"g", EINVAL, "f"},   {"0,f", EOVERFLOW, "f"},
                    {" 3,", 0, "3"}, {"", 0, "3"},           {"0x3", EINVAL, "3"}, {"x0000000c", 0, "c"},
                    {"\n", 0, "0"},  {"a\n", 0, "a"},        {"0", 0, "0"}};
  for (const auto& row : rows) {
    EXPECT_EQ(bench.write(kRpsCpus, row.text), row.code) << row.text;
    EXPECT_EQ(bench.read(kRpsCpus), row.after) << row.text;
  }
}

TEST(RpsCpus, PrintsGroupsOf32WhenThereAreMoreCpus) {
  Bench bench({1, 32, 35});
  EXPECT_EQ(bench.write(kRpsCpus, "1,,2"), 0);
  EXPECT_EQ(bench.read(kRpsCpus), "1,00000002");
  EXPECT_THAT(bench.queue().rps_map.read()->cpus, ElementsAre(1, 32));
  EXPECT_EQ(bench.write(kRpsCpus, "00000000,0000000f"), 0);  // CPUs 0, 2 and 3 are holes: below nr_cpu_ids, not there
  EXPECT_EQ(bench.read(kRpsCpus), "0,00000002");
}

TEST(RpsCpus, KeepsOnlyCpusOnlineAtTheTimeOfWriting) {
  Bench bench;
  ASSERT_EQ(bench.write("/sys/devices/system/cpu/cpu2/online", "0"), 0);
  EXPECT_EQ(bench.write(kRpsCpus, "e"), 0);
  EXPECT_EQ(bench.read(kRpsCpus), "a");
  EXPECT_EQ(bench.write(kRpsCpus, "4"), 0);  // nothing left: off, and no error
  EXPECT_EQ(bench.queue().rps_map.read(), nullptr);
  ASSERT_EQ(bench.write("/sys/devices/system/cpu/cpu2/online", "1"), 0);
  EXPECT_EQ(bench.read(kRpsCpus), "0");
}

TEST(RpsCpus, CountsMapsInRpsNeeded) {
  Bench bench;
  const std::atomic<int>& needed = bench.net().rps_needed;
  EXPECT_EQ(needed.load(), 0);
  bench.write(kRpsCpus, "1");
  bench.write(kRpsCpus, "3");
  EXPECT_EQ(needed.load(), 1);
  bench.write("/sys/class/net/eth0/queues/rx-1/rps_cpus", "3");
  bench.write("net.core.rps_sock_flow_entries", "8");
  EXPECT_EQ(needed.load(), 3);
  bench.write(kRpsFlowCnt, "8");  // a flow table alone does not make RPS needed
  EXPECT_EQ(needed.load(), 3);
  bench.write(kRpsCpus, "0");
  bench.write(kRpsCpus, "0");
  EXPECT_EQ(needed.load(), 2);
}

TEST(RpsDefaultMask, AppliesToDevicesAttachedLater) {
  Bench bench;
  EXPECT_EQ(bench.read("net.core.rps_default_mask"), "0");
  EXPECT_EQ(bench.write("net.core.rps_default_mask", "6"), 0);
  EXPECT_EQ(bench.read("net.core.rps_default_mask"), "6");
  EXPECT_EQ(bench.read(kRpsCpus), "0");
  bench.attach("eth1", 1);
  EXPECT_EQ(bench.read("/sys/class/net/eth1/queues/rx-0/rps_cpus"), "6");
  EXPECT_EQ(bench.net().rps_needed.load(), 1);
  EXPECT_EQ(bench.write("net.core.rps_default_mask", "1f"), EOVERFLOW);
  EXPECT_EQ(bench.read("net.core.rps_default_mask"), "6");
  EXPECT_EQ(bench.write("net.core.rps_default_mask", ""), 0);
  bench.attach("eth2", 1);
  EXPECT_EQ(bench.queue("eth2").rps_map.read(), nullptr);
}

TEST(FlowLimitBitmap, AllocatesAndFreesPerCpu) {
  constexpr std::string_view kBitmap = "net.core.flow_limit_cpu_bitmap";
  Bench bench;
  const auto limit = [&](std::uint32_t cpu) { return bench.net().of(cpu).flow_limit.read(); };
  EXPECT_EQ(bench.read(kBitmap), "0");
  EXPECT_EQ(bench.write(kBitmap, "3"), 0);
  EXPECT_EQ(bench.read(kBitmap), "3");
  ASSERT_NE(limit(1), nullptr);
  EXPECT_EQ(limit(1)->buckets.size(), 4096u);
  FlowLimit* const kept = limit(1);
  EXPECT_EQ(bench.write("net.core.flow_limit_table_len", "1024"), 0);
  EXPECT_EQ(bench.write(kBitmap, "6"), 0);
  EXPECT_EQ(limit(0), nullptr);
  EXPECT_EQ(limit(1), kept);  // with its history, and the length it was made with
  EXPECT_EQ(limit(1)->buckets.size(), 4096u);
  EXPECT_EQ(limit(2)->buckets.size(), 1024u);
  EXPECT_EQ(bench.write(kBitmap, "g"), EINVAL);
  EXPECT_EQ(bench.read(kBitmap), "6");
  EXPECT_EQ(bench.write(kBitmap, ""), 0);
  EXPECT_EQ(bench.read(kBitmap), "0");
}

TEST(FlowLimitBitmap, CoversOfflineCpusAndIgnoresHoles) {
  constexpr std::string_view kBitmap = "net.core.flow_limit_cpu_bitmap";
  Bench bench({0, 2, 3});
  ASSERT_EQ(bench.write("/sys/devices/system/cpu/cpu3/online", "0"), 0);
  EXPECT_EQ(bench.write(kBitmap, "e"), 0);
  EXPECT_EQ(bench.read(kBitmap), "c");
}

TEST(FlowLimitBitmap, LeavesAPartialResultWhenMemoryEnds) {
  constexpr std::string_view kBitmap = "net.core.flow_limit_cpu_bitmap";
  Bench bench;
  ASSERT_EQ(bench.write(kBitmap, "9"), 0);
  for (const std::string_view length : {"4194304", "-2147483648"}) {
    ASSERT_EQ(bench.write("net.core.flow_limit_table_len", length), 0);
    EXPECT_EQ(bench.write(kBitmap, "2"), ENOMEM);  // CPU 0 is done, CPU 1 fails, CPU 3 is not reached
    EXPECT_EQ(bench.read(kBitmap), "8");
  }
  ASSERT_EQ(bench.write("net.core.flow_limit_table_len", "2097152"), 0);
  EXPECT_EQ(bench.write(kBitmap, "2"), 0);
}

// ---- /sys/class/net ----------------------------------------------------------------------------------------------

TEST(RpsFlowCnt, IsRoundedUpToAPowerOfTwo) {
  const std::pair<std::string_view, std::uint32_t> sizes[] = {{"0", 0},       {"1", 1},       {"3", 4},
                                                              {"4096", 4096}, {"4097", 8192}, {"134217728", 1u << 27}};
  for (const auto& [text, size] : sizes) EXPECT_EQ(rps_flow_table_size(text).value_or(7), size) << text;
  EXPECT_EQ(rps_flow_table_size("134217729").error().code, ENOMEM);
  EXPECT_EQ(rps_flow_table_size("4294967296").error().code, ENOMEM);
  EXPECT_EQ(rps_flow_table_size("4294967297").error().code, EINVAL);
  EXPECT_EQ(rps_flow_table_size("18446744073709551616").error().code, ERANGE);

  Bench bench;
  for (const auto& [text, after] : {std::pair<std::string_view, std::string_view>{"0", "0"},
                                    {"1", "1"},
                                    {"3\n", "4"},
                                    {"", "4"},
                                    {"4097", "8192"},
                                    {"0x10", "16"},
                                    {"0", "0"}}) {
    EXPECT_EQ(bench.write(kRpsFlowCnt, text), 0) << text;
    EXPECT_EQ(bench.read(kRpsFlowCnt), after) << text;
  }
}

TEST(RpsFlowCnt, ReplacesTheTableEvenByOneOfTheSameSize) {
  Bench bench;
  bench.write(kRpsFlowCnt, "8");
  bench.queue().rps_flow_table.read()->slot(1).cpu.store(2);
  EXPECT_EQ(bench.write(kRpsFlowCnt, "x"), EINVAL);
  EXPECT_EQ(bench.queue().rps_flow_table.read()->slot(1).cpu.load(), 2);
  bench.write(kRpsFlowCnt, "8");
  EXPECT_EQ(bench.queue().rps_flow_table.read()->slot(1).cpu.load(), kNoCpu);
}

TEST(DeviceSettings, DeferralTakesUnsignedNumbers) {
  Bench bench;
  constexpr std::string_view kTimeout = "/sys/class/net/eth0/gro_flush_timeout";
  constexpr std::string_view kDefer = "/sys/class/net/eth0/napi_defer_hard_irqs";
  EXPECT_EQ(bench.read(kTimeout), "0");
  EXPECT_EQ(bench.write(kTimeout, "200000\n"), 0);
  EXPECT_EQ(bench.read(kTimeout), "200000");
  EXPECT_EQ(bench.write(kTimeout, "-1"), EINVAL);
  EXPECT_EQ(bench.write(kTimeout, "18446744073709551616"), ERANGE);
  EXPECT_EQ(bench.read(kTimeout), "200000");
  EXPECT_EQ(bench.write(kTimeout, "18446744073709551615"), 0);
  EXPECT_EQ(bench.read(kTimeout), "4611686018427387904");

  EXPECT_EQ(bench.read(kDefer), "0");
  EXPECT_EQ(bench.write(kDefer, "2147483647"), 0);
  EXPECT_EQ(bench.write(kDefer, "2147483648"), ERANGE);
  EXPECT_EQ(bench.write(kDefer, "x"), EINVAL);
  EXPECT_EQ(bench.read(kDefer), "2147483647");
}

TEST(DeviceSettings, GroFeaturesAreSwitches) {
  Bench bench;
  for (const char* name : {"rx_gro", "rx_gro_list", "rx_udp_gro_forwarding"}) {
    const std::string path = std::string("/sys/class/net/eth0/") + name;
    EXPECT_EQ(bench.read(path), name == std::string_view("rx_gro") ? "1" : "0");
    for (const char* text : {"0", "1", "off", "on"}) {
      EXPECT_EQ(bench.write(path, text), 0);
      EXPECT_EQ(bench.read(path), text == std::string_view("1") || text == std::string_view("on") ? "1" : "0");
    }
    EXPECT_EQ(bench.write(path, "x"), EINVAL);
    EXPECT_EQ(bench.write(path, ""), 0);
    EXPECT_EQ(bench.read(path), "1");
  }
}

TEST(DeviceSettings, GroSizesAreBoundedAndASmallOneHoldsForIpv4Too) {
  Bench bench;
  constexpr std::string_view kSize = "/sys/class/net/eth0/gro_max_size";
  constexpr std::string_view kIpv4Size = "/sys/class/net/eth0/gro_ipv4_max_size";
  EXPECT_EQ(bench.read(kSize), "65536");
  EXPECT_EQ(bench.write(kSize, "524280"), 0);
  EXPECT_EQ(bench.read(kIpv4Size), "65536");
  EXPECT_EQ(bench.write(kSize, "524281"), EINVAL);
  EXPECT_EQ(bench.read(kSize), "524280");
  EXPECT_EQ(bench.write(kIpv4Size, "100000"), 0);
  EXPECT_EQ(bench.read(kSize), "524280");
  EXPECT_EQ(bench.write(kSize, "30000"), 0);
  EXPECT_EQ(bench.read(kIpv4Size), "30000");
}

TEST(OwnSettings, GroFlowBuckets) {
  Bench bench;
  constexpr std::string_view kBuckets = "net.netrx.gro_flow_buckets";
  for (const char* text : {"8", "16", "32", "64", "0"}) {
    EXPECT_EQ(bench.write(kBuckets, text), 0);
    EXPECT_EQ(bench.read(kBuckets), text);
  }
  for (const char* text : {"1", "4", "7", "24", "65", "128", "-8", "x"}) EXPECT_EQ(bench.write(kBuckets, text), EINVAL);
  EXPECT_EQ(bench.read(kBuckets), "0");
}

TEST(DeviceSettings, ThreadedIsZeroOrOne) {
  Bench bench;
  constexpr std::string_view kThreaded = "/sys/class/net/eth0/threaded";
  EXPECT_EQ(bench.read(kThreaded), "0");
  EXPECT_EQ(bench.write(kThreaded, "1"), 0);
  EXPECT_EQ(bench.read(kThreaded), "1");
  EXPECT_EQ(bench.write(kThreaded, "2"), EOPNOTSUPP);
  EXPECT_EQ(bench.write(kThreaded, "x"), EINVAL);
  EXPECT_EQ(bench.write(kThreaded, "99999999999999999999"), ERANGE);
  EXPECT_EQ(bench.read(kThreaded), "1");
  EXPECT_EQ(bench.write(kThreaded, "0"), 0);
  EXPECT_EQ(bench.read(kThreaded), "0");
}

TEST(DeviceSettings, ThreadedNeedsANapi) {
  Bench bench;
  std::vector<std::unique_ptr<NapiStruct>> taken;
  for (const auto& queue : bench.core().find("eth0")->rx_queues) taken.push_back(std::move(queue->napi));
  EXPECT_EQ(bench.write("/sys/class/net/eth0/threaded", "1"), EOPNOTSUPP);
  for (const auto& queue : bench.core().find("eth0")->rx_queues) {
    queue->napi = std::move(taken.front());
    taken.erase(taken.begin());
  }
}

class RefusingThreads : public NapiThreads {
 public:
  Result<void> start(NapiStruct&) override { return fail(EAGAIN, "no more threads"); }
  void stop(NapiStruct&) override {}
};

TEST(DeviceSettings, ThreadedStaysOffWhenAThreadCannotStart) {
  Bench bench;
  RefusingThreads threads;
  bench.core().napi_threads = &threads;
  EXPECT_EQ(bench.refusal("/sys/class/net/eth0/threaded", "1"), "eth0/threaded: \"1\": EAGAIN: no more threads");
  EXPECT_EQ(bench.read("/sys/class/net/eth0/threaded"), "0");
  bench.core().napi_threads = nullptr;
}

// ---- CPUs --------------------------------------------------------------------------------------------------------

TEST(CpuOnline, GoesDownAndUpButNotTheLast) {
  Bench bench({0, 2});
  constexpr std::string_view kCpu0 = "/sys/devices/system/cpu/cpu0/online";
  constexpr std::string_view kCpu2 = "/sys/devices/system/cpu/cpu2/online";
  EXPECT_EQ(bench.read("/sys/devices/system/cpu/possible"), "0,2");
  EXPECT_EQ(bench.read("/sys/devices/system/cpu/online"), "0,2");
  EXPECT_EQ(bench.write(kCpu0, "off"), 0);
  EXPECT_EQ(bench.read(kCpu0), "0");
  EXPECT_EQ(bench.read("/sys/devices/system/cpu/online"), "2");
  EXPECT_THAT(bench.refusal(kCpu2, "0"), HasSubstr("cpu2/online: \"0\": EBUSY: "));
  EXPECT_EQ(bench.write(kCpu2, "maybe"), EINVAL);
  EXPECT_EQ(bench.read(kCpu2), "1");
  EXPECT_EQ(bench.write(kCpu0, "1\n"), 0);
  EXPECT_EQ(bench.write(kCpu0, "1"), 0);
  EXPECT_EQ(bench.read("/sys/devices/system/cpu/online"), "0,2");
  EXPECT_EQ(bench.write("/sys/devices/system/cpu/online", "0"), EACCES);
}

// ---- paths and texts ---------------------------------------------------------------------------------------------

TEST(SettingPaths, HaveShortFormsUnderNetCore) {
  Bench bench;
  EXPECT_EQ(bench.write("net.core.netdev_budget", "1"), 0);
  EXPECT_EQ(bench.read("net/core/netdev_budget"), "1");
  EXPECT_EQ(bench.read("/proc/sys/net/core/netdev_budget"), "1");
}

TEST(SettingPaths, ThatDoNotExistAreEnoentWithWhatDoes) {
  Bench bench({0, 2});
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"net.core.netdev_backlog",
       "\"/proc/sys/net/core/netdev_backlog\": ENOENT: no such setting; did you mean "
       "/proc/sys/net/core/netdev_max_backlog?"},
      {"/sys/class/net/eth0/queues/rx-1/rps_cpu",
       "\"/sys/class/net/eth0/queues/rx-1/rps_cpu\": ENOENT: no such setting; did you mean "
       "/sys/class/net/eth0/queues/rx-1/rps_cpus?"},
      {"net.ipv4.tcp_rmem", "\"net.ipv4.tcp_rmem\": ENOENT: no such setting; docs/configuration.md lists them"},
      {"", "\"\": ENOENT: no such setting; docs/configuration.md lists them"},
      {"/sys/class/net/eth9/threaded", "eth9/threaded: ENOENT: no device \"eth9\"; attached: eth0"},
      {"/sys/class/net/eth0/queues/rx-2/rps_cpus",
       "eth0/queues/rx-2/rps_cpus: ENOENT: no such queue; eth0 has rx-0 to rx-1"},
      {"/sys/class/net/eth0/queues/rx-01/rps_cpus",
       "eth0/queues/rx-01/rps_cpus: ENOENT: no such queue; eth0 has rx-0 to rx-1"},
      {"/sys/devices/system/cpu/cpu1/online", "cpu1/online: ENOENT: no such CPU; this engine has 0,2"},
      {"/sys/devices/system/cpu/cpu99999999999/online",
       "cpu99999999999/online: ENOENT: no such CPU; this engine has 0,2"},
  };
  for (const auto& [path, text] : rows) {
    EXPECT_EQ(bench.write(path, "1"), ENOENT) << path;
    EXPECT_EQ(bench.refusal(path, "1"), text);
    EXPECT_EQ(read_setting(bench.core(), path).error().text, text);
  }
}

TEST(SettingPaths, MustMatchToTheLastCharacter) {
  Bench bench;
  for (const std::string_view path :
       {"/proc/sys/net/core/", "/proc/sys/net/core/netdev_budget/", "/proc/sys/net/core/netdev_budget\n",
        "/sys/class/net//threaded", "/sys/class/net/eth0/queues/rx-/rps_cpus", "/sys/class/net/eth0/x/threaded",
        "sys/class/net/eth0/threaded", "/sys/devices/system/cpu/cpu/online", "net.core.net.core.netdev_budget"})
    EXPECT_EQ(bench.write(path, "1"), ENOENT) << path;
}

TEST(SettingTexts, NameThePathTheValueTheErrnoAndTheRemedy) {
  Bench bench;
  EXPECT_EQ(bench.refusal(kRpsCpus, "1f\n"),
            "eth0/queues/rx-0/rps_cpus: \"1f\": EOVERFLOW: CPU 4 does not exist, there are CPUs 0-3");
  EXPECT_EQ(bench.refusal("net.core.netdev_budget_usecs", "1"),
            "netdev_budget_usecs: \"1\": EINVAL: too small; the least is 8000");
  EXPECT_EQ(bench.refusal("net.core.max_skb_frags", "18"), "max_skb_frags: \"18\": EINVAL: too large; the most is 17");
  EXPECT_EQ(bench.refusal("net.core.flow_limit_table_len", "3"),
            "flow_limit_table_len: \"3\": EINVAL: not a power of two; write 1024, 2048, 4096 ...");
}

TEST(SettingList, HasEveryPathAndEachReadsBackAsItIs) {
  Bench bench({0, 2});
  const std::vector<std::string> paths = list_settings(bench.core());
  EXPECT_EQ(paths.size(), 17u + 3 + 2 * 2 + 8 + 2 + 2);
  EXPECT_THAT(paths, AllOf(Contains("/proc/sys/net/core/rps_sock_flow_entries"),
                           Contains("/sys/class/net/eth0/queues/rx-1/rps_flow_cnt"),
                           Contains("/sys/devices/system/cpu/cpu2/online")));
  for (const std::string& path : paths) {
    const Result<std::string> text = read_setting(bench.core(), path);
    ASSERT_TRUE(text) << path;
    const int code = bench.write(path, *text);
    EXPECT_TRUE(code == 0 || code == EACCES) << path << ": " << code;
    EXPECT_EQ(*read_setting(bench.core(), path), *text);
  }
}

/// Refused texts change nothing; what an accepted one made can be read, and writing that changes nothing any more.
RC_GTEST_PROP(SettingProperty, WhatIsReadWritesBackTheSame, ()) {
  Bench bench({0, 1, 2, 35});
  const std::vector<std::string> paths = list_settings(bench.core());
  const auto piece = rc::gen::weightedOneOf<std::string>({
      {4, rc::gen::map(rc::gen::inRange(0, 70000), [](int n) { return std::to_string(n); })},
      {2, rc::gen::element<std::string>("0", "1", "f", "8,0", "0x10", "1024")},
      {1, rc::gen::element<std::string>("-", " ", ",", "\n", "x", "g")},
  });
  for (int i = 0; i < 20; ++i) {
    const std::string& path = *rc::gen::elementOf(paths);
    std::string text = *piece;
    if (*rc::gen::inRange(0, 4) == 0) text += *piece;
    if (text.size() > 6 && path.find("flow") != std::string::npos) continue;  // tables of a size nobody needs here
    const std::string before = *read_setting(bench.core(), path);
    if (bench.write(path, text) != 0) {
      RC_ASSERT(*read_setting(bench.core(), path) == before);
      continue;
    }
    const std::string after = *read_setting(bench.core(), path);
    RC_ASSERT(bench.write(path, after) == 0);
    RC_ASSERT(*read_setting(bench.core(), path) == after);
  }
  int maps = bench.net().rps_sock_flow_table.read() != nullptr;
  for (const auto& queue : bench.core().find("eth0")->rx_queues) maps += queue->rps_map.read() != nullptr;
  RC_ASSERT(bench.net().rps_needed.load() == maps);
}

}  // namespace
}  // namespace netrx
