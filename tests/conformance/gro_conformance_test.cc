// SPDX-License-Identifier: Apache-2.0
// GRO: the same frames in one poll, the same settings; what the stack is handed must be the same, byte for byte.
//
// Nothing here depends on time. The frames are sent with softirqs off, so one poll finds them all; they are fewer than a
// NAPI's weight, so that the poll ends with a complete flush, whatever the tick rate.
#include <gtest/gtest.h>

#include <set>

#include "gro_differences.h"
#include "gro_scenarios.h"
#include "kernel.h"

namespace netrx::conformance {
namespace {

class GroConformance : public testing::Test {
 protected:
  static void SetUpTestSuite() { kernel_ = new Result<std::unique_ptr<Kernel>>(Kernel::open()); }
  static void TearDownTestSuite() { delete std::exchange(kernel_, nullptr); }
  void SetUp() override {
    if (!*kernel_) GTEST_SKIP() << kernel_->error().text;
  }

  /// Both run it, and are compared.
  void judge(const GroScenario& scenario) {
    Result<std::vector<Handed>> kernel = kernel_gro(***kernel_, scenario);
    ASSERT_TRUE(kernel) << scenario.name << ": " << kernel.error().text;
    const std::vector<Handed> ours = netrx_gro(scenario);
    forgiven_ += forgive_unverified_udp(scenario, *kernel, ours);
    for (const Handed& one : *kernel) merged_ += one.arrivals() - 1;
    const GroDifference* known = difference_for(rows_, scenario.name);
    if (known == nullptr) {
      EXPECT_TRUE(*kernel == ours) << scenario.name << ": an unexplained difference\n" << side_by_side(*kernel, ours);
      return;
    }
    EXPECT_EQ(outline(*kernel), known->kernel) << scenario.name << ": " << known->reason;
    EXPECT_EQ(outline(ours), known->netrx) << scenario.name << ": " << known->reason;
    met_.insert(known->scenario);
  }
  void judge(const std::vector<GroScenario>& scenarios) {
    for (const GroScenario& scenario : scenarios) judge(scenario);
  }
  /// Exactly these rows of the table were about a scenario, of those that apply to the running kernel.
  void expect_rows(std::set<std::string> patterns) {
    std::set<std::string> applying;
    for (const GroDifference& row : rows_)
      if (patterns.contains(row.scenario)) applying.insert(row.scenario);
    EXPECT_EQ(met_, applying) << "a difference in the table that no scenario shows: take it out";
  }

  std::size_t forgiven_ = 0, merged_ = 0;

 private:
  inline static Result<std::unique_ptr<Kernel>>* kernel_ = nullptr;
  std::vector<GroDifference> rows_ = expected_differences();
  std::set<std::string> met_;
};

TEST_F(GroConformance, Try) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) judge(random_scenario(seed));
  std::cout << merged_ << " merged, forgiven " << forgiven_ << "\n";
}

}  // namespace
}  // namespace netrx::conformance
