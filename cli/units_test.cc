// SPDX-License-Identifier: Apache-2.0
#include "units.h"

#include <gtest/gtest.h>

namespace netrx::cli {
namespace {

TEST(Units, DurationsNeedAUnit) {
  using namespace std::chrono_literals;
  EXPECT_EQ(parse_duration("50ms").value(), 50ms);
  EXPECT_EQ(parse_duration("1.5s").value(), 1500ms);
  EXPECT_EQ(parse_duration("800ns").value(), 800ns);
  EXPECT_EQ(parse_duration("2m").value(), 2min);
  EXPECT_EQ(parse_duration("0us").value(), 0us);
  for (const char* bad : {"", "50", "ms", "-1s", "1 s", "1h", "1e3s", "nan s", "infs", "1sx"})
    EXPECT_EQ(parse_duration(bad).error().code, EINVAL) << bad;
  EXPECT_EQ(parse_duration("1441m").error().code, ERANGE);
}

TEST(Units, CountsKnowMultiplesAndLimits) {
  EXPECT_EQ(parse_count("0", 0, 9).value(), 0u);
  EXPECT_EQ(parse_count("10k", 1, 10'000).value(), 10'000u);
  EXPECT_EQ(parse_count("2M", 1, 1ull << 40).value(), 2'000'000u);
  for (const char* bad : {"", "x", "-1", "1K", "1.5k", "0x10", "1k "})
    EXPECT_EQ(parse_count(bad, 0, 1ull << 40).error().code, EINVAL) << bad;
  for (const char* bad : {"0", "11", "1k", "18446744073709551616", "18446744073709551615k"})
    EXPECT_EQ(parse_count(bad, 1, 10).error().code, ERANGE) << bad;
}

TEST(Units, NumbersForPeople) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1'000), "1,000");
  EXPECT_EQ(grouped(1'234'567), "1,234,567");
  EXPECT_EQ(short_duration(999), "999 ns");
  EXPECT_EQ(short_duration(1'234), "1.23 µs");
  EXPECT_EQ(short_duration(999'499), "999 µs");
  EXPECT_EQ(short_duration(999'500), "1.00 ms");
  EXPECT_EQ(short_duration(45'600'000'000), "45.6 s");
  EXPECT_EQ(short_number(987), "987");
  EXPECT_EQ(short_number(3'456'789), "3.46 M");
  EXPECT_EQ(percent(1, 3), "33.3 %");
  EXPECT_EQ(percent(0, 0), "-");
}

TEST(Units, ErrnoIsSaidOnce) {
  EXPECT_EQ(full_text({EINVAL, "no"}), "no (EINVAL: Invalid argument)");
  EXPECT_EQ(full_text({EINVAL, "\"g\": EINVAL: no"}), "\"g\": EINVAL: no (Invalid argument)");
  EXPECT_EQ(full_text({EINVAL, "no: Invalid argument"}), "no: Invalid argument");
}

TEST(Units, NearestWord) {
  const std::vector<std::string> known{"rps-cpus", "rps-flow-cnt", "cpus", "json"};
  EXPECT_EQ(nearest("rps-cpu", known), "rps-cpus");
  EXPECT_EQ(nearest("rps-flow-count", known), "rps-flow-cnt");
  EXPECT_EQ(nearest("jsno", known), "json");
  EXPECT_EQ(nearest("something", known), "");
}

}  // namespace
}  // namespace netrx::cli
