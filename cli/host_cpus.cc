// SPDX-License-Identifier: Apache-2.0
#include "host_cpus.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>

#include "netrx/cpu_mask.h"
#include "units.h"

namespace netrx::cli {

namespace {

constexpr std::uint16_t kMaxCpus = 4096;

/// A cpu_set_t large enough for any CPU number the engine takes.
class CpuSet {
 public:
  CpuSet() : set_(CPU_ALLOC(kMaxCpus)) { CPU_ZERO_S(size(), set_); }
  ~CpuSet() { CPU_FREE(set_); }
  CpuSet(const CpuSet&) = delete;
  CpuSet& operator=(const CpuSet&) = delete;
  static std::size_t size() { return CPU_ALLOC_SIZE(kMaxCpus); }
  cpu_set_t* get() { return set_; }

 private:
  cpu_set_t* const set_;
};

}  // namespace

std::vector<std::uint16_t> usable_cpus() {
  CpuSet set;
  std::vector<std::uint16_t> cpus;
  if (sched_getaffinity(0, CpuSet::size(), set.get()) != 0) return {0};
  for (std::uint16_t cpu = 0; cpu < kMaxCpus; ++cpu)
    if (CPU_ISSET_S(cpu, CpuSet::size(), set.get())) cpus.push_back(cpu);
  return cpus;
}

Result<void> check_usable(const std::string& option, const std::vector<std::uint16_t>& wanted) {
  const std::vector<std::uint16_t> usable = usable_cpus();
  for (const std::uint16_t cpu : wanted)
    if (!std::binary_search(usable.begin(), usable.end(), cpu))
      return fail(EINVAL, fmt::format("{}: CPU {} is not one this process may use ({}); it may use {}", option, cpu,
                                      errno_text(EINVAL), cpu_list(usable)));
  return {};
}

Result<void> pin_to(std::uint16_t cpu) {
  CpuSet set;
  CPU_SET_S(cpu, CpuSet::size(), set.get());
  if (sched_setaffinity(0, CpuSet::size(), set.get()) == 0) return {};
  return fail(errno, fmt::format("CPU {}: a thread can't be pinned to it ({})", cpu, errno_text(errno)));
}

std::string cpu_list(const std::vector<std::uint16_t>& cpus) {
  CpuMask mask(kMaxCpus);
  for (const std::uint16_t cpu : cpus) mask.set(cpu);
  return mask.to_list();
}

}  // namespace netrx::cli
