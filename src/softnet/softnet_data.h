// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/list.h"
#include "cpu/counter.h"
#include "cpu/cpu.h"
#include "cpu/doorbell.h"
#include "cpu/published.h"
#include "cpu/spin_lock.h"
#include "netrx/drop_reason.h"
#include "netrx/gro.h"
#include "netrx/packet_pool.h"
#include "netrx/trace.h"
#include "observe/histogram.h"
#include "packet/packet_ring.h"
#include "softnet/napi_struct.h"
#include "softnet/rps_tables.h"

namespace netrx {

/// Packets that steering sent to one CPU during a poll; they cross in one piece, with one lock and at most one kick.
struct Outbox {
  Counter sent;  ///< packets the target's backlog accepted from here
  PacketBatch packets;
  std::array<RpsDevFlow*, PacketBatch::kCapacity> flows;  ///< whose last_qtail each packet moves; may be null
};

/// Packets whose home is this CPU, left here by others in arrays of pointers, so that nobody but the owner dirties
/// them. Kernel: softnet_data.defer_list, defer_count, defer_lock.
struct DeferList {
  explicit DeferList(std::size_t pool_packets) : slots(pool_packets), spare(pool_packets) {}

  SpinLock lock;
  std::vector<Packet*> slots NETRX_GUARDED_BY(lock);  ///< the first `count` are used; every packet of the pool fits
  std::atomic<std::uint32_t> count{0};                ///< changes under the lock; read without it as a hint
  std::atomic<bool> ipi_scheduled{false};
  std::vector<Packet*> spare;  ///< the owner's; swapped with `slots` at a flush
};

/// Everything one CPU has of the receive path. Kernel: struct softnet_data.
///
/// Each field is one of: *local* (NETRX_GUARDED_BY(cpu): only whoever occupies the Cpu), *counter* (the occupant
/// writes, anyone reads), *shared* (its type synchronises itself), *published* (the control plane swaps it).
struct SoftnetData {
  /// `ring_capacity` bounds the backlog whatever netdev_max_backlog says; `nr_cpu_ids` outboxes are made.
  SoftnetData(std::uint16_t id, std::unique_ptr<PacketPool> packets, std::uint32_t ring_capacity,
              std::size_t nr_cpu_ids);

  Cpu cpu;

  // -- local: softirq state
  List<NapiStruct> poll_list NETRX_GUARDED_BY(cpu);
  bool net_rx_pending NETRX_GUARDED_BY(cpu) = false;  ///< NET_RX is raised
  bool in_net_rx_action NETRX_GUARDED_BY(cpu) = false;
  bool in_napi_threaded_poll NETRX_GUARDED_BY(cpu) = false;
  SoftnetData* rps_ipi_list NETRX_GUARDED_BY(cpu) = nullptr;     ///< CPUs to kick, newest first
  Nanos now NETRX_GUARDED_BY(cpu){0};                            ///< as of the current round; read once a poll
  std::vector<NapiStruct*> irq_napis NETRX_GUARDED_BY(cpu);      ///< whose interrupts and timers land here
  std::vector<Outbox> outbox NETRX_GUARDED_BY(cpu);              ///< by target cpu
  std::vector<std::uint16_t> outbox_used NETRX_GUARDED_BY(cpu);  ///< targets with packets, in order of first use
  const std::unique_ptr<PacketPool> pool;                        ///< alloc and put: local; give_back: shared

  // -- counters
  Counter processed;  ///< rounds through core receive
  Counter time_squeeze;
  Counter received_rps;     ///< doorbells received for RPS, not packets
  Counter received;         ///< packets taken from queues and netif_rx on this CPU
  Counter delivered;        ///< packets a handler took
  Counter merged;           ///< packets the GRO stage made part of another
  Counter consumed_by_tap;  ///< extra deliveries to taps; not part of conservation
  Counter backlogged;       ///< packets taken from the own backlog
  Counter doorbells;        ///< RPS doorbells rung
  Counter wakeups;          ///< of those, how many found the target asleep
  Counter softirqs;         ///< net_rx_action runs. Kernel: NET_RX in /proc/softirqs
  Counter ksoftirqd;        ///< times do_softirq gave up its turn with work left
  Counter polls;
  Counter empty_polls;
  std::array<Counter, kDropReasons> drops;                               ///< by the CPU that dropped
  std::array<Counter, static_cast<std::size_t>(RpsRule::kCount)> rules;  ///< decisions by rule
  std::array<Counter, kGroRefusals> gro_refusals;                        ///< why packets did not merge
  Histogram queueing_delay;                                              ///< nanoseconds from poll to delivery

  // -- published
  Published<FlowLimit> flow_limit;  ///< used by this CPU as enqueuer; contents local

  // -- shared
  alignas(64) PacketRing input;         ///< input_pkt_queue and process_queue, with their counters
  NapiStruct backlog;                   ///< SCHED changes under input.lock()
  SoftnetData* rps_ipi_next = nullptr;  ///< belongs to whoever set SCHED of `backlog`
  SharedCounter dropped;                ///< backlog drops charged to this CPU as target
  DeferList defer;
  Doorbell doorbell;
  Waker* waker = nullptr;  ///< set before start; null: this CPU never sleeps
};

}  // namespace netrx
