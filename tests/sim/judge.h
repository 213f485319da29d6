// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/engine_core.h"
#include "event_log.h"
#include "netrx/deliver.h"
#include "netrx/trace.h"
#include "script_device.h"
#include "sim/cpu_tasks.h"
#include "sim/machine.h"

namespace netrx::simtest {

/// Watches a run through tracepoints, deliveries and looks at the engine's state between steps, and ends it at the
/// first thing that must not be. Each checker has a name, which begins the line of a failure:
///
///   conservation  every packet received ends exactly once; the sums agree whenever nobody runs on any CPU
///   order         packets of a flow are delivered in order, wherever steering promises it
///   rfs_switch    a flow moves to its consumer's CPU only when nothing of it is left on the old one
///   limits        backlog, weight, budget and softirq passes stay within what was set
///   lost_wakeup   nobody sleeps with work that nobody will tell him of
///   lost_irq      frames wait, and neither an interrupt nor a timer nor an owner will look at them
///   lost_kick     a device waits for buffers that are there
///   frames        a virtio device's frames come up as it gave them: all, once, in order, with their bytes
///   qtail         a flow's last_qtail is never beyond the tail of the queue it names
///   counters      what is counted twice is counted equal
class Judge : public Tracer, public SimObserver {
 public:
  Judge(SimMachine& machine, EngineCore& core, const CpuTasks& cpus, EventLog& log, std::size_t flows);

  [[noreturn]] void accuse(const char* checker, const std::string& what);

  // -- from the world
  void received(const Packet& packet, bool injected);
  void delivered(const Delivery& delivery);  ///< before its packets get other owners
  void consumed_by_app(std::size_t consumer, std::span<Packet* const> packets);
  /// Between these two, steering may change its mind: the kernel promises no order then.
  void reconfigure_begin() {
    ++flux_;
    ++epoch_;
  }
  void reconfigure_end() {
    --flux_;
    ++epoch_;
  }
  void backlog_limit(int max);
  /// RFS slots of this device's first queue are written by more than one CPU: no promise either.
  void slots_are_shared(const Netif& netif) { shared_slots_.push_back(&netif); }
  void note_hotplug() { hotplugged_ = true; }
  /// The run has no end of its own: when nobody will ever run again, all shall be done.
  void quiet_end() { quiet_end_ = true; }

  std::size_t alive() const { return alive_.size(); }  ///< packets received and not ended
  std::uint64_t delivered_count() const { return delivered_; }
  std::uint64_t dropped_count() const { return dropped_; }
  std::uint64_t merged_count() const { return merged_; }
  std::uint64_t received_count() const { return received_; }
  void check_end();
  std::string backlog_of_work();  ///< one line: who has what, for a run that does not drain

  // -- Tracer
  void netif_rx_entry(std::uint16_t cpu, const Packet& packet) override;
  void netif_receive_skb(std::uint16_t cpu, const Packet& packet) override;
  void napi_gro_receive_entry(std::uint16_t cpu, const Packet& packet) override;
  void napi_gro_receive_exit(std::uint16_t cpu, GroResult result) override;
  void napi_poll(std::uint16_t cpu, std::uint32_t napi_id, int work, int budget) override;
  void kfree_skb(std::uint16_t cpu, const Packet& packet, DropReason reason) override;
  void consume_skb(std::uint16_t cpu, const Packet& packet) override;
  void softirq_entry(std::uint16_t cpu) override;
  void softirq_exit(std::uint16_t cpu) override;
  void get_rps_cpu(std::uint16_t cpu, const Packet& packet, int target, RpsRule rule) override;
  void doorbell(std::uint16_t cpu, std::uint16_t target) override;

  // -- SimObserver
  void step(const SimTask& task, Site site, std::uint32_t n) override;
  void idle() override;
  void stalled() override;

 private:
  static constexpr int kHere = -1;  // handed up in the very poll that took it

  struct FlowRecord {
    bool decided = false;
    int place = kHere;
    bool by_rfs = false;
    std::uint64_t epoch = 0;
    bool dirty = false;                 // packets are out that last_qtail knows nothing of
    std::uint32_t outstanding = 0;      // decided on and not handed up yet
    std::vector<std::uint64_t> fences;  // rx_seq from which on packets may overtake older ones
    std::uint64_t newest = 0;           // the highest rx_seq decided on
    std::uint64_t last_delivered = 0;
    bool any_delivered = false;
    std::uint64_t last_consumed = 0;
    std::size_t consumer = 0;
    bool any_consumed = false;
  };
  struct Life {
    std::uint32_t flow;
    std::uint64_t seq;
    bool injected = false;
    bool decided = false;
    bool handed_up = false;
    bool merged = false;  // its end is that of the packet it became part of
  };
  struct CpuRecord {
    const Packet* in_gro = nullptr;
    bool in_softirq = false;
    int budget = 0;
    std::int64_t spent = 0;
    std::uint32_t polls = 0;
    std::uint32_t passes = 0;
    std::uint64_t rung = 0;
  };

  Life& life(const Packet& packet, const char* where);
  void end(const Packet& packet, const char* how);
  void end_merged(const Packet& packet);
  void decide(Life& life, const Packet& packet, int place, RpsRule rule);
  void hand_up(Life& life);
  void check_order(const FlowRecord& flow, const Life& life, std::uint64_t last, const char* where);
  bool may_be_late(const Packet& packet) const;
  void check_backlog(const SoftnetData& sd);
  void check_sums();
  void check_held(const Attached& attached, NapiStruct& napi);
  void check_cpu_asleep(SoftnetData& sd);
  void check_queue_asleep(const Attached& attached, std::size_t index);
  void check_unowned(const Attached& attached, NapiStruct& napi, JudgedQueue& queue);
  void check_qtails(const Attached& attached);
  bool nobody_occupies() const;

  SimMachine& machine_;
  EngineCore& core_;
  const CpuTasks& cpus_;
  EventLog& log_;
  std::vector<FlowRecord> flows_;
  std::unordered_map<const Packet*, Life> alive_;
  std::vector<CpuRecord> cpu_records_;
  std::vector<const Netif*> shared_slots_;
  int flux_ = 0;
  std::uint64_t epoch_ = 0;
  std::uint64_t backlog_limit_ = 0;
  bool hotplugged_ = false;
  bool quiet_end_ = false;
  std::uint64_t received_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t merged_ = 0;
};

}  // namespace netrx::simtest
