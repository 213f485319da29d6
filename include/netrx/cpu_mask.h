// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "netrx/error.h"

namespace netrx {

/// A set of CPU numbers below a fixed `nr_cpu_ids`. Kernel: cpumask_var_t.
class CpuMask {
 public:
  explicit CpuMask(std::uint32_t nr_cpu_ids = 0) : bits_(nr_cpu_ids, false) {}

  /// Reads the text of rps_cpus and its like up to the first newline: chunks of up to 8 hex digits, least significant
  /// last, with commas or spaces between. EINVAL for a character that has no place there, EOVERFLOW for a CPU that
  /// can't exist, as the kernel's bitmap_parse gives them. Kernel: lib/bitmap-str.c:bitmap_parse.
  static Result<CpuMask> parse(std::string_view text, std::uint32_t nr_cpu_ids);

  /// Reads a list such as "0-3,8", the form of --cpus. EINVAL if it is not one, ERANGE beyond `nr_cpu_ids`.
  static Result<CpuMask> parse_list(std::string_view text, std::uint32_t nr_cpu_ids);

  /// As the kernel prints masks, without the newline: "ff", "00000001,00000002". Kernel: the %*pb format.
  std::string to_string() const;

  /// As parse_list() reads it: "0-3,8"; empty for no CPU. Kernel: the %*pbl format.
  std::string to_list() const;

  std::uint32_t nr_cpu_ids() const { return static_cast<std::uint32_t>(bits_.size()); }
  bool test(std::uint32_t cpu) const { return cpu < bits_.size() && bits_[cpu]; }
  void set(std::uint32_t cpu, bool on = true) { bits_[cpu] = on; }
  bool empty() const;
  std::vector<std::uint16_t> cpus() const;  ///< ascending

  friend bool operator==(const CpuMask&, const CpuMask&) = default;

 private:
  std::vector<bool> bits_;
};

}  // namespace netrx
