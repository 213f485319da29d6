// SPDX-License-Identifier: Apache-2.0
#include "host/host.h"

#include <pthread.h>
#include <sched.h>
#include <sys/random.h>

#include <ctime>
#include <random>

namespace netrx {

Nanos MonotonicClock::now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::chrono::seconds(now.tv_sec) + Nanos(now.tv_nsec);
}

std::vector<std::uint16_t> host_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::vector<std::uint16_t> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(static_cast<std::uint16_t>(cpu));
  return cpus;
}

Result<void> pin_this_thread(std::uint16_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) == 0) return {};
  return fail(errno, "can't run on CPU " + std::to_string(cpu) +
                         ": the machine does not have it, or this process may not use it (taskset -p shows)");
}

std::uint16_t current_cpu() { return static_cast<std::uint16_t>(sched_getcpu()); }

void name_this_thread(const std::string& name) { pthread_setname_np(pthread_self(), name.substr(0, 15).c_str()); }

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  if (getrandom(&value, sizeof value, 0) == sizeof value) return value;
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

}  // namespace netrx
