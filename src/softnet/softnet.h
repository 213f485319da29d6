// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cpu/clock.h"
#include "cpu/published.h"
#include "cpu/turnstile.h"
#include "netrx/trace.h"
#include "softnet/netif.h"
#include "softnet/softnet_data.h"
#include "softnet/tunables.h"

namespace netrx {

struct PacketTypes;
class GroEndpoints;

/// What the stages share: the CPUs, the settings, the tables. One per engine; there are no globals.
///
/// CPU numbers are the kernel's: `nr_cpu_ids` is one more than the highest possible CPU, and a number without a
/// SoftnetData is a CPU this engine does not have, never online.
struct Softnet {
  Tunables tunables;
  Tick tick;
  Clock* clock = nullptr;  ///< set before start
  std::uint32_t nr_cpu_ids = 0;
  std::vector<std::unique_ptr<SoftnetData>> cpus;  ///< by CPU number; null: not possible
  std::unique_ptr<std::atomic<bool>[]> online;     ///< by CPU number

  /// rps_needed: maps plus 1 for the global table; 0 keeps get_rps_cpu from being asked at all.
  std::atomic<int> rps_needed{0};
  Published<RpsSockFlowTable> rps_sock_flow_table;
  Published<GroEndpoints> gro_endpoints;  ///< null: none
  Published<PacketTypes> packet_types;    ///< what deliver/ hands packets to
  Tracer* tracer = nullptr;               ///< set before start
  std::vector<Turnstile*> readers;        ///< application threads that read published tables; see Reader

  bool possible(std::uint32_t cpu) const { return cpu < nr_cpu_ids && cpus[cpu] != nullptr; }
  bool cpu_online(std::uint32_t cpu) const { return cpu < nr_cpu_ids && online[cpu].load(std::memory_order_acquire); }
  SoftnetData& of(std::uint32_t cpu) { return *cpus[cpu]; }

  /// Returns once nobody uses what any reader saw in a Published before this call. Control plane, occupying no Cpu.
  /// Kernel: synchronize_net.
  void synchronize_net(Actor& actor);
};

/// An application thread's place among the readers of published tables: enter before reading, leave after.
class ReaderGuard {
 public:
  ReaderGuard(Turnstile& turnstile, Actor& actor) : turnstile_(turnstile) { turnstile_.enter(actor); }
  ~ReaderGuard() { turnstile_.leave(); }
  ReaderGuard(const ReaderGuard&) = delete;
  ReaderGuard& operator=(const ReaderGuard&) = delete;

 private:
  Turnstile& turnstile_;
};

}  // namespace netrx
