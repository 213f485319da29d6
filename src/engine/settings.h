// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine_core.h"

namespace netrx {

// The kernel's settings as text, under the kernel's paths: docs/configuration.md is the manual. All with `core.control`
// held and no Cpu occupied.

/// Changes a setting. The text is what would be written to the file, its final newline optional. The error names the
/// path, the value, the errno and the remedy. ENOENT: no such setting here; EACCES: it is only read.
Result<void> write_setting(EngineCore& core, std::string_view path, std::string_view text);

/// What the kernel would print, final newline included.
Result<std::string> read_setting(const EngineCore& core, std::string_view path);

/// Every path there is now, in the order of the manual.
std::vector<std::string> list_settings(const EngineCore& core);

/// What rps_default_mask gives a receive queue made now; null for none. Whoever publishes it counts it in rps_needed.
std::unique_ptr<RpsMap> default_rps_map(const EngineCore& core);

// Sizes of tables, apart from memory: what the text of rps_flow_cnt, rps_sock_flow_entries or flow_limit_table_len asks
// for.

/// 0 for none, else a power of two. EINVAL above 2^32; ENOMEM above 2^27, which would be more than 1 GiB a queue.
Result<std::uint32_t> rps_flow_table_size(std::string_view text);
/// 0 for none, else a power of two up to 2^29.
Result<std::uint32_t> rps_sock_flow_table_size(std::string_view text);

}  // namespace netrx
