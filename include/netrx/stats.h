// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "netrx/drop_reason.h"
#include "netrx/gro.h"
#include "netrx/trace.h"

namespace netrx {

/// What one CPU counted since the engine began. Counters are read one by one while it runs: each is right, their sums
/// may be a few packets apart.
struct CpuStats {
  std::uint16_t cpu = 0;
  bool online = false;

  // /proc/net/softnet_stat
  std::uint64_t processed = 0;
  std::uint64_t dropped = 0;  ///< charged to this CPU as target of a full backlog
  std::uint64_t time_squeeze = 0;
  std::uint64_t received_rps = 0;
  std::uint64_t flow_limit_count = 0;
  std::uint32_t input_queue_len = 0;
  std::uint32_t process_queue_len = 0;

  std::uint64_t received = 0;    ///< packets it took from queues or was given by netif_rx
  std::uint64_t delivered = 0;   ///< packets a handler took here
  std::uint64_t merged = 0;      ///< packets that GRO made part of another here
  std::uint64_t backlogged = 0;  ///< packets it took from its own backlog
  std::uint64_t steered_in = 0;  ///< packets other CPUs put on its backlog
  std::uint64_t doorbells = 0;   ///< it rang for RPS
  std::uint64_t wakeups = 0;     ///< of those, how many found a sleeper
  std::uint64_t softirqs = 0;
  std::uint64_t ksoftirqd = 0;
  std::uint64_t polls = 0;
  std::uint64_t empty_polls = 0;
  std::array<std::uint64_t, kDropReasons> drops{};
  std::array<std::uint64_t, static_cast<std::size_t>(RpsRule::kCount)> rules{};
  std::array<std::uint64_t, kGroRefusals> gro_refusals{};  ///< why packets did not merge
  std::vector<std::uint64_t> sent_to;                      ///< by CPU number: packets it put on that CPU's backlog

  /// Nanoseconds from the poll that took a packet to the poll that delivered it, over packets delivered here.
  std::uint64_t delay_p50_ns = 0;
  std::uint64_t delay_p99_ns = 0;
  std::uint64_t delay_max_ns = 0;
};

struct QueueStats {
  std::uint64_t rx_packets = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t rx_missed_errors = 0;
  std::uint64_t rx_length_errors = 0;
  std::uint64_t rx_frame_errors = 0;
  std::uint64_t rx_alloc_fail = 0;
};

struct DeviceStats {
  std::string name;
  bool running = false;
  std::uint64_t rx_dropped = 0;
  std::uint64_t rx_nohandler = 0;
  std::vector<QueueStats> queues;
  std::string remark;
};

/// received = delivered + merged + dropped + held, at any moment at which nothing runs.
struct Conservation {
  std::uint64_t received = 0;
  std::uint64_t delivered = 0;
  std::uint64_t merged = 0;
  std::uint64_t dropped = 0;
  std::uint64_t held = 0;         ///< counted where they wait, in backlogs and in GRO; not derived
  std::uint64_t held_frags = 0;   ///< packets that have become part of held ones
  std::uint64_t packets_out = 0;  ///< not in any pool: held, part of a held one, or kept by applications
  bool holds() const { return received == delivered + merged + dropped + held; }
};

struct EngineStats {
  std::vector<CpuStats> cpus;  ///< ascending by number
  std::vector<DeviceStats> devices;
  Conservation conservation;
  /// Over all CPUs.
  std::uint64_t delay_p50_ns = 0;
  std::uint64_t delay_p99_ns = 0;
};

}  // namespace netrx
