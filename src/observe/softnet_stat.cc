// SPDX-License-Identifier: Apache-2.0
#include "observe/softnet_stat.h"

#include <array>
#include <cstdio>

namespace netrx {

std::string softnet_stat_text(std::span<const CpuStats> cpus) {
  std::string text;
  for (const CpuStats& cpu : cpus) {
    if (!cpu.online) continue;
    const std::array<std::uint64_t, 15> columns{cpu.processed,
                                                cpu.dropped,
                                                cpu.time_squeeze,
                                                0,
                                                0,
                                                0,
                                                0,
                                                0,
                                                0,  // fast route and collisions, long gone
                                                cpu.received_rps,
                                                cpu.flow_limit_count,
                                                cpu.input_queue_len + cpu.process_queue_len,
                                                cpu.cpu,
                                                cpu.input_queue_len,
                                                cpu.process_queue_len};
    for (std::size_t i = 0; i < columns.size(); ++i) {
      std::array<char, 12> field;
      std::snprintf(field.data(), field.size(), "%08x", static_cast<std::uint32_t>(columns[i]));
      text += field.data();
      text += i + 1 < columns.size() ? ' ' : '\n';
    }
  }
  return text;
}

}  // namespace netrx
