// SPDX-License-Identifier: Apache-2.0
// Settings: thousands of texts, each written to the kernel's file and to netrx's of the same name: the same errno, and
// the same text read back.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/prng.h"
#include "kernel_fixture.h"
#include "netrx/devices.h"
#include "netrx/engine.h"
#include "restored_sysctls.h"

namespace netrx::conformance {
namespace {

enum class Kind { number, mask, table };  ///< table: numbers that make the kernel allocate that much

struct Setting {
  const char* path;
  Kind kind;
};

constexpr Setting kOfTheDevice[] = {{"/sys/class/net/vb/queues/rx-0/rps_cpus", Kind::mask},
                                    {"/sys/class/net/vb/queues/rx-0/rps_flow_cnt", Kind::table},
                                    {"/sys/class/net/vb/gro_flush_timeout", Kind::number},
                                    {"/sys/class/net/vb/napi_defer_hard_irqs", Kind::number}};
constexpr Setting kOfTheNamespace[] = {{"/proc/sys/net/core/rps_default_mask", Kind::mask}};
constexpr Setting kOfTheMachine[] = {{"/proc/sys/net/core/netdev_max_backlog", Kind::number},
                                     {"/proc/sys/net/core/netdev_budget", Kind::number},
                                     {"/proc/sys/net/core/netdev_budget_usecs", Kind::number},
                                     {"/proc/sys/net/core/dev_weight", Kind::number},
                                     {"/proc/sys/net/core/dev_weight_rx_bias", Kind::number},
                                     {"/proc/sys/net/core/dev_weight_tx_bias", Kind::number},
                                     {"/proc/sys/net/core/gro_normal_batch", Kind::number},
                                     {"/proc/sys/net/core/skb_defer_max", Kind::number},
                                     {"/proc/sys/net/core/netdev_tstamp_prequeue", Kind::number},
                                     {"/proc/sys/net/core/busy_poll", Kind::number},
                                     {"/proc/sys/net/core/busy_read", Kind::number},
                                     {"/proc/sys/net/core/max_skb_frags", Kind::number},
                                     {"/proc/sys/net/core/rps_sock_flow_entries", Kind::table},
                                     {"/proc/sys/net/core/flow_limit_cpu_bitmap", Kind::mask},
                                     {"/proc/sys/net/core/flow_limit_table_len", Kind::table}};

/// Texts, most of them nearly right.
class Texts {
 public:
  explicit Texts(std::uint64_t seed) : prng_(seed) {}

  std::string next(Kind kind) {
    std::string text = kind == Kind::mask ? mask() : number(kind);
    if (one_in(8)) text = (one_in(2) ? " " : "\t") + text;
    if (one_in(6)) text += blank();
    if (one_in(3)) text += "\n";
    for (std::uint64_t left = one_in(5) ? prng_.between(1, 3) : 0; left > 0; --left) damage(text, kind);
    return text;
  }

 private:
  bool one_in(std::uint64_t n) { return prng_.below(n) == 0; }
  std::string blank() { return std::string(1, " \t\n\v\f\r"[prng_.below(6)]); }

  std::string number(Kind kind) {
    static constexpr const char* kEdges[] = {"0",
                                             "1",
                                             "-1",
                                             "-0",
                                             "2147483647",
                                             "2147483648",
                                             "-2147483648",
                                             "-2147483649",
                                             "4294967295",
                                             "4294967296",
                                             "18446744073709551615",
                                             "18446744073709551616",
                                             "99999999999999999999999",
                                             "9223372036854775807",
                                             "0x7fffffff",
                                             "0xffffffffffffffff",
                                             "00",
                                             "010",
                                             "08",
                                             "0x",
                                             "0x1g",
                                             "1e3",
                                             "",
                                             "on",
                                             "300 400",
                                             "5,6",
                                             "17",
                                             "18",
                                             "64"};
    // Numbers for which one side might have to find gigabytes are nobody's interest.
    static constexpr const char* kTableEdges[] = {
        "0", "1", "-1", "65535", "4294967297", "18446744073709551616", "00", "010", "08", "0x", "65536", "", "3"};
    if (one_in(3))
      return kind == Kind::table ? kTableEdges[prng_.below(std::size(kTableEdges))]
                                 : kEdges[prng_.below(std::size(kEdges))];
    const std::uint64_t value = prng_.next() >> prng_.between(kind == Kind::table ? 50 : 0, 63);
    if (one_in(8)) return "-" + std::to_string(value);
    if (one_in(8)) return "+" + std::to_string(value);
    if (one_in(6)) return "0x" + hex(value);
    return std::to_string(value);
  }

  std::string mask() {
    std::string text;
    for (std::uint64_t chunk = prng_.below(4); chunk < 4; ++chunk) {
      text += hex(prng_.next() >> prng_.between(one_in(3) ? 24 : 60, 63));
      if (one_in(6)) text.insert(0, prng_.below(9), '0');
      if (chunk != 3) text += one_in(3) ? "," + blank() : ",";
    }
    static constexpr const char* kEdges[] = {
        "0",         "1",   "3",         "f",    "",    ",",       "0,3", ",3", "3,", "00000000,00000003",
        "x00000003", "0x3", "000000003", "3\n1", "3 1", "ffffffff"};
    return one_in(2) ? kEdges[prng_.below(std::size(kEdges))] : text;
  }

  static std::string hex(std::uint64_t value) {
    std::array<char, 20> digits{};
    std::snprintf(digits.data(), digits.size(), "%llx", static_cast<unsigned long long>(value));
    return digits.data();
  }

  void damage(std::string& text, Kind kind) {
    static constexpr std::string_view kBytes("0123456789abcdefxXgG,.-+ \t\n\0\x80", 29);
    // No more digits to a number that asks for memory.
    const std::size_t from = kind == Kind::table ? 10 : 0;
    const char byte = kBytes[prng_.between(from, kBytes.size() - 1)];
    const std::size_t at = prng_.below(text.size() + 1);
    if (at < text.size() && one_in(2)) {
      text[at] = byte;
    } else {
      text.insert(at, 1, byte);
    }
  }

  Prng prng_;
};

/// What one side said to a text, and what it had afterwards.
struct Outcome {
  int error = 0;
  std::string value;
  bool operator==(const Outcome&) const = default;
};

/// Where the two are known to part. A row that explains nothing any more fails.
struct SettingDifference {
  const char* path;
  bool (*explains)(const std::string& text, const Outcome& kernel, const Outcome& ours);
  const char* reason;
};
constexpr SettingDifference kDifferences[] = {
    {"/proc/sys/net/core/rps_default_mask",
     [](const std::string&, const Outcome& kernel, const Outcome& ours) {
       return kernel.error != 0 && kernel.error == ours.error;
     },
     "a refused text leaves part of itself behind in the kernel; the old mask stays in netrx"},
    {"/sys/class/net/vb/gro_flush_timeout",
     [](const std::string&, const Outcome& kernel, const Outcome& ours) {
       return kernel.error == 0 && ours == Outcome{0, "4611686018427387904"} && std::stoull(kernel.value) > 1ull << 62;
     },
     "the kernel keeps any number of nanoseconds, netrx at most 2^62: 146 years"},
};

std::string shown(const std::string& text) { return testing::PrintToString(text); }

class SettingsConformance : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    if (IsSkipped()) return;
    possible_ = Kernel::read("/sys/devices/system/cpu/possible");
    if (possible_ != Kernel::read("/sys/devices/system/cpu/online"))
      GTEST_SKIP() << "skipped: some CPUs are offline, and masks leave them out";
    EngineOptions options{.pool_packets = 64, .hz = ticks()};
    for (std::uint16_t cpu = 1; cpu < sysconf(_SC_NPROCESSORS_CONF); ++cpu) options.cpus.push_back(cpu);
    engine_ = std::move(Engine::create(options).value());
    ASSERT_TRUE(engine_->attach(std::move(open_device("gen:flows=1,count=1,name=vb").value())));
  }

  /// The kernel's HZ, by the least netdev_budget_usecs it takes: two ticks.
  std::uint32_t ticks() {
    std::uint32_t found = 250;
    Kernel::home().run([&] {
      const std::string path = "/proc/sys/net/core/netdev_budget_usecs";
      const RestoredSysctls restored({path});
      for (const std::uint32_t hz : {100u, 250u, 300u, 1000u})
        if (Kernel::write(path, std::to_string(2'000'000 / hz)) == 0) found = hz;
    });
    return found;
  }

  /// Afterwards the kernel's is what it was before.
  void compare(const Setting& setting, const std::string& text) {
    const std::string before = Kernel::read(setting.path);
    ASSERT_TRUE(engine_->write(setting.path, before)) << setting.path << " " << shown(before);
    Outcome kernel;
    kernel.error = Kernel::write(setting.path, text);
    kernel.value = line_of(Kernel::read(setting.path));
    if (kernel.error == 0 && kernel.value != line_of(before)) ++changed_;
    EXPECT_EQ(Kernel::write(setting.path, before), 0) << setting.path;
    Outcome ours;
    if (const Result<void> written = engine_->write(setting.path, text); !written) ours.error = written.error().code;
    ours.value = line_of(engine_->read(setting.path).value());
    if (kernel == ours) return;
    const auto row = std::ranges::find_if(kDifferences, [&](const SettingDifference& one) {
      return std::string_view(one.path) == setting.path && one.explains(text, kernel, ours);
    });
    if (row != std::end(kDifferences)) {
      ++explained_[row->path];
      return;
    }
    ADD_FAILURE() << setting.path << " " << shown(text) << ": an unexplained difference: kernel errno " << kernel.error
                  << " value " << shown(kernel.value) << ", netrx errno " << ours.error << " value "
                  << shown(ours.value);
  }
  static std::string line_of(std::string text) {
    if (text.ends_with('\n')) text.pop_back();
    return text;
  }
  void compare_all(std::span<const Setting> settings, std::size_t texts) {
    std::uint64_t seed = 0;
    for (const Setting& setting : settings) {
      Texts generated(++seed);
      changed_ = 0;
      for (std::size_t i = 0; i < texts && !HasFailure(); ++i) compare(setting, generated.next(setting.kind));
      EXPECT_GT(changed_, 10u) << setting.path << ": texts that change nothing say little";
      for (const SettingDifference& row : kDifferences)
        if (std::string_view(row.path) == setting.path) {
          EXPECT_GT(explained_[row.path], 0u) << row.path << ": gone, take the row out: " << row.reason;
        }
    }
  }

 private:
  std::string possible_;
  std::unique_ptr<Engine> engine_;
  std::size_t changed_ = 0;
  std::map<std::string, std::size_t> explained_;
};

TEST_F(SettingsConformance, OfTheDevice) { compare_all(kOfTheDevice, 2000); }
TEST_F(SettingsConformance, OfTheNamespace) { compare_all(kOfTheNamespace, 2000); }
TEST_F(SettingsConformance, OfTheMachine) {
  bool all_there = true;
  const bool entered = Kernel::home().run([&] {
    std::vector<std::string> paths;
    for (const Setting& setting : kOfTheMachine) paths.push_back(setting.path);
    all_there = !Kernel::read(paths[0]).empty();
    if (!all_there) return;
    const RestoredSysctls restored(paths);
    compare_all(kOfTheMachine, 2000);
  });
  if (!entered || !all_there) GTEST_SKIP() << "skipped: not started in the machine's first network namespace";
}

}  // namespace
}  // namespace netrx::conformance
