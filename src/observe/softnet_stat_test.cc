// SPDX-License-Identifier: Apache-2.0
#include "observe/softnet_stat.h"

#include <gtest/gtest.h>

namespace netrx {
namespace {

TEST(SoftnetStat, FifteenColumnsInTheKernelsOrder) {
  CpuStats cpu;
  cpu.cpu = 3;
  cpu.online = true;
  cpu.processed = 0x1234;
  cpu.dropped = 2;
  cpu.time_squeeze = 3;
  cpu.received_rps = 4;
  cpu.flow_limit_count = 5;
  cpu.input_queue_len = 6;
  cpu.process_queue_len = 7;
  EXPECT_EQ(softnet_stat_text({&cpu, 1}),
            "00001234 00000002 00000003 00000000 00000000 00000000 00000000 00000000 00000000 00000004 00000005 "
            "0000000d 00000003 00000006 00000007\n");
}

TEST(SoftnetStat, OfflineCpusHaveNoLineAndCountersShowTheirLow32Bits) {
  std::array<CpuStats, 3> cpus{};
  cpus[0].online = cpus[2].online = true;
  cpus[2].cpu = 2;
  cpus[2].processed = 0x1'0000'0009;
  const std::string text = softnet_stat_text(cpus);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_NE(text.find("\n00000009 "), std::string::npos);
}

}  // namespace
}  // namespace netrx
