// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "netrx/stats.h"

namespace netrx {

/// The text of /proc/net/softnet_stat: a line for each online CPU, 15 columns of 8 hex digits. Kernel:
/// net/core/net-procfs.c:softnet_seq_show.
std::string softnet_stat_text(std::span<const CpuStats> cpus);

}  // namespace netrx
