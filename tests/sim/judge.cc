// SPDX-License-Identifier: Apache-2.0
#include "judge.h"

#include <algorithm>
#include <cstdlib>

#include "base/ring_index.h"

// The judge looks at other CPUs' local state, which only a machine whose every step is known may do.
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety-analysis"
#endif

namespace netrx::simtest {

namespace {

constexpr std::uint32_t kMaxPasses = 10;

std::string number(std::uint64_t n) { return std::to_string(n); }

std::string micros(Nanos time) {
  if (time == kNever) return "never";
  char text[32];
  std::snprintf(text, sizeof text, "%.3f us", static_cast<double>(time.count()) / 1000);
  return text;
}

}  // namespace

Judge::Judge(SimMachine& machine, EngineCore& core, const CpuTasks& cpus, EventLog& log, std::size_t flows)
    : machine_(machine), core_(core), cpus_(cpus), log_(log), flows_(flows), cpu_records_(core.net.nr_cpu_ids) {
  backlog_limit(core.net.tunables.netdev_max_backlog.read());
}

void Judge::accuse(const char* checker, const std::string& what) {
  machine_.fail(std::string(checker) + ": " + what);
  std::abort();  // a judge outside of a run
}

void Judge::backlog_limit(int max) {
  backlog_limit_ = std::max<std::uint64_t>(backlog_limit_, static_cast<std::uint32_t>(max));
}

// ---- lives of packets ----------------------------------------------------------------------------------------------

void Judge::received(const Packet& packet, bool injected) {
  const Life life{.flow = flow_of(packet), .seq = packet.rx_seq, .injected = injected};
  log_.add(machine_, "received", life.flow, life.seq);
  if (!alive_.emplace(&packet, life).second)
    accuse("conservation", "a packet was received again while it is on its way: flow " + number(life.flow) + " seq " +
                               number(life.seq));
  ++received_;
}

Judge::Life& Judge::life(const Packet& packet, const char* where) {
  const auto found = alive_.find(&packet);
  if (found == alive_.end())
    accuse("conservation", std::string(where) + " of a packet that was never received or has ended: flow " +
                               number(flow_of(packet)) + " seq " + number(packet.rx_seq));
  return found->second;
}

void Judge::end(const Packet& packet, const char* how) {
  if (life(packet, how).merged) accuse("conservation", std::string(how) + " of a packet that is part of another");
  end_merged(packet);
  hand_up(life(packet, how));
  alive_.erase(&packet);
}

/// What became part of a packet ends with it.
void Judge::end_merged(const Packet& packet) {
  for (const Packet* frag = packet.frags; frag != nullptr; frag = frag->next) {
    if (!life(*frag, "end").merged) accuse("conservation", "a packet ended within another it was never merged into");
    alive_.erase(frag);
  }
}

void Judge::napi_gro_receive_entry(std::uint16_t cpu, const Packet& packet) {
  (void)life(packet, "GRO");
  cpu_records_[cpu].in_gro = &packet;
}

void Judge::napi_gro_receive_exit(std::uint16_t cpu, GroResult result) {
  if (result > GroResult::merged_free) return;
  Life& known = life(*cpu_records_[cpu].in_gro, "merging");
  log_.add(machine_, "merged", known.flow, known.seq);
  known.merged = true;
  ++merged_;
}

/// The flow has one packet less on its way.
void Judge::hand_up(Life& life) {
  if (!life.decided || life.handed_up) return;
  life.handed_up = true;
  FlowRecord& flow = flows_[life.flow];
  if (--flow.outstanding == 0) flow.dirty = false;
}

void Judge::netif_rx_entry(std::uint16_t, const Packet& packet) { received(packet, true); }

void Judge::kfree_skb(std::uint16_t cpu, const Packet& packet, DropReason reason) {
  log_.add(machine_, "kfree_skb", flow_of(packet), packet.rx_seq, name(reason).data());
  (void)cpu;
  ++dropped_;
  end(packet, "drop");
}

void Judge::consume_skb(std::uint16_t, const Packet& packet) {
  if (!life(packet, "end").handed_up)
    accuse("conservation", "a packet ended as delivered that no handler was given: flow " + number(flow_of(packet)));
  ++delivered_;
  end(packet, "end");
}

// The consumer of a tagged flow is drawn from another hash when steering, which still saw the tag, is switched on or
// off: between two consumers there is no order.
void Judge::consumed_by_app(std::size_t consumer, std::span<Packet* const> packets) {
  for (const Packet* packet : packets) {
    const Life& known = life(*packet, "consumption");
    FlowRecord& flow = flows_[known.flow];
    if (flow.consumer != consumer) flow.any_consumed = false;
    if (flow.any_consumed && !may_be_late(*packet)) check_order(flow, known, flow.last_consumed, "consumed");
    flow.last_consumed = flow.any_consumed ? std::max(flow.last_consumed, known.seq) : known.seq;
    for (const Packet* frag = packet->frags; frag != nullptr; frag = frag->next)
      flow.last_consumed = std::max(flow.last_consumed, life(*frag, "consumption").seq);
    flow.any_consumed = true;
    flow.consumer = consumer;
    ++delivered_;
    end(*packet, "consumption");
  }
}

// ---- order ---------------------------------------------------------------------------------------------------------

void Judge::get_rps_cpu(std::uint16_t cpu, const Packet& packet, int target, RpsRule rule) {
  Life& known = life(packet, "steering");
  log_.add(machine_, target < 0 ? "steered here" : "steered to", target < 0 ? cpu : static_cast<std::uint64_t>(target),
           known.flow * 100000u + known.seq, name(rule));
  decide(known, packet, target >= 0 || !known.injected ? target : cpu, rule);
}

/// A promise of order holds from one packet to the next when both go to the same place, or when RFS moved the flow by
/// its own rules; else a fence separates them.
void Judge::decide(Life& known, const Packet& packet, int place, RpsRule rule) {
  FlowRecord& flow = flows_[known.flow];
  const bool shared =
      known.injected || (packet.queue_mapping <= 1 && std::ranges::count(shared_slots_, packet.dev) != 0);
  const bool by_rfs = !shared && (rule == RpsRule::kFollowsFlow || rule == RpsRule::kSwitchedToConsumer ||
                                  rule == RpsRule::kHeldForOrder);
  const bool steady = flow.decided && flux_ == 0 && flow.epoch == epoch_;
  const bool guarded = flow.by_rfs && by_rfs && !flow.dirty;
  const bool promised = !flow.decided || (steady && (flow.place == place || guarded));
  // A packet that GRO held may be decided behind later ones: what follows is new from there on.
  const bool late = !known.decided && flow.decided && known.seq < flow.newest;
  if (!promised) flow.fences.push_back(late ? flow.newest + 1 : known.seq);
  flow.newest = std::max(flow.newest, known.seq);
  if (steady && guarded && rule == RpsRule::kSwitchedToConsumer && flow.place != place &&
      flow.outstanding > (known.decided && !known.handed_up ? 1u : 0u))
    accuse("rfs_switch", "flow " + number(known.flow) + " moved from CPU " + std::to_string(flow.place) + " to " +
                             std::to_string(place) + " with " + number(flow.outstanding) + " packets on their way");
  flow.decided = true;
  flow.place = place;
  flow.by_rfs = by_rfs;
  flow.epoch = epoch_;
  flow.dirty |= !by_rfs || (!promised && flow.outstanding != 0);
  if (!known.decided) ++flow.outstanding;
  known.decided = true;
}

void Judge::netif_receive_skb(std::uint16_t cpu, const Packet& packet) {
  Life& known = life(packet, "delivery");
  log_.add(machine_, "delivered on", cpu, known.flow * 100000u + known.seq);
  if (!known.decided) decide(known, packet, kHere, RpsRule::kNotAsked);
}

void Judge::delivered(const Delivery& delivery) {
  for (const Packet* packet : delivery.packets()) {
    Life& known = life(*packet, "delivery");
    FlowRecord& flow = flows_[known.flow];
    if (flow.any_delivered && !may_be_late(*packet)) check_order(flow, known, flow.last_delivered, "delivered");
    flow.last_delivered = std::max(flow.last_delivered, known.seq);
    flow.any_delivered = true;
    for (const Packet* frag = packet->frags; frag != nullptr; frag = frag->next) {
      const Life& part = life(*frag, "delivery");
      if (part.flow != known.flow) accuse("conservation", "packets of two flows were merged");
      if (!may_be_late(*packet)) check_order(flow, part, flow.last_delivered, "merged");
      flow.last_delivered = std::max(flow.last_delivered, part.seq);
    }
    hand_up(known);
  }
}

/// GRO held it, and may have let others by when it was switched off: the kernel's way, unless told otherwise.
bool Judge::may_be_late(const Packet& packet) const {
  return packet.gro_held && core_.net.tunables.gro_in_order.read() == 0;
}

void Judge::check_order(const FlowRecord& flow, const Life& known, std::uint64_t last, const char* where) {
  if (known.seq > last) return;
  const bool excused =
      std::ranges::any_of(flow.fences, [&](std::uint64_t fence) { return known.seq < fence && fence <= last; });
  if (known.seq == last || !excused)
    accuse("order",
           "flow " + number(known.flow) + ": packet " + number(known.seq) + " " + where + " after " + number(last));
}

// ---- limits --------------------------------------------------------------------------------------------------------

void Judge::napi_poll(std::uint16_t cpu, std::uint32_t napi_id, int work, int budget) {
  log_.add(machine_, napi_id == 0 ? "polled backlog" : "polled napi", napi_id == 0 ? cpu : napi_id,
           static_cast<std::uint64_t>(work));
  if (work > budget) accuse("limits", "a poll of weight " + std::to_string(budget) + " did " + std::to_string(work));
  CpuRecord& record = cpu_records_[cpu];
  if (!record.in_softirq) return;
  if (record.polls != 0 && record.spent >= record.budget)
    accuse("limits", "CPU " + number(cpu) + " polls on after " + std::to_string(record.spent) +
                         " packets with netdev_budget " + std::to_string(record.budget));
  ++record.polls;
  record.spent += work;
}

void Judge::softirq_entry(std::uint16_t cpu) {
  CpuRecord& record = cpu_records_[cpu];
  record.in_softirq = true;
  record.budget = core_.net.tunables.netdev_budget.read();
  record.spent = 0;
  record.polls = 0;
  if (++record.passes > kMaxPasses)
    accuse("limits", "CPU " + number(cpu) + " ran more than 10 softirq passes in a row");
}

void Judge::softirq_exit(std::uint16_t cpu) { cpu_records_[cpu].in_softirq = false; }

void Judge::doorbell(std::uint16_t cpu, std::uint16_t target) {
  log_.add(machine_, "rings", target, cpu);
  ++cpu_records_[target].rung;
}

void Judge::check_backlog(const SoftnetData& sd) {
  if (sd.input.input_len() > backlog_limit_ + 1)
    accuse("limits", "CPU " + number(sd.cpu.id()) + " has " + number(sd.input.input_len()) +
                         " packets in input_pkt_queue, netdev_max_backlog was " + number(backlog_limit_) + " at most");
}

void Judge::step(const SimTask& task, Site site, std::uint32_t) {
  if (site == Site::qtail) {
    for (const auto& sd : core_.net.cpus)
      if (sd != nullptr) check_backlog(*sd);
  }
  if (site != Site::leave_cpu) return;
  for (const auto& sd : core_.net.cpus)
    if (sd != nullptr && cpus_.task_of(sd->cpu.id()) == &task) cpu_records_[sd->cpu.id()].passes = 0;
  if (nobody_occupies()) check_sums();
}

// ---- sums ----------------------------------------------------------------------------------------------------------

bool Judge::nobody_occupies() const {
  return std::ranges::none_of(core_.net.cpus, [](const auto& sd) { return sd != nullptr && sd->cpu.occupied(); });
}

void Judge::check_sums() {
  std::uint64_t received = 0, delivered = 0, merged = 0, dropped = 0, held = 0;
  for (const auto& sd : core_.net.cpus) {
    if (sd == nullptr) continue;
    received += sd->received.read();
    delivered += sd->delivered.read();
    merged += sd->merged.read();
    for (const Counter& drops : sd->drops) dropped += drops.read();
    held += sd->input.input_len() + sd->input.process_len();
  }
  for (const Attached& attached : core_.devices)
    for (const auto& rxq : attached.netif->rx_queues)
      held += rxq->napi->gro.held_in.read() - rxq->napi->gro.held_out.read();
  if (received != delivered + merged + dropped + held || received != received_ || merged != merged_)
    accuse("conservation", "received " + number(received) + " (seen " + number(received_) + ") but delivered " +
                               number(delivered) + " + merged " + number(merged) + " (seen " + number(merged_) +
                               ") + dropped " + number(dropped) + " + held " + number(held));
}

void Judge::check_end() {
  check_sums();
  if (!alive_.empty()) accuse("conservation", number(alive_.size()) + " packets never ended");
  std::uint64_t charged = 0, refused = 0;
  for (const auto& sd : core_.net.cpus) {
    if (sd == nullptr) continue;
    const std::string cpu = "CPU " + number(sd->cpu.id());
    const std::size_t home = sd->pool->idle() + sd->defer.count.load();
    if (home != sd->pool->capacity())
      accuse("conservation", number(sd->pool->capacity() - home) + " packets of " + cpu + " did not come home");
    charged += sd->dropped.read();
    refused += sd->drops[static_cast<std::size_t>(DropReason::kCpuBacklog)].read();
    const std::uint64_t rung = cpu_records_[sd->cpu.id()].rung;
    if (hotplugged_ ? sd->received_rps.read() > rung : sd->received_rps.read() != rung)
      accuse("counters", cpu + " received " + number(sd->received_rps.read()) + " doorbells of " + number(rung));
  }
  if (charged != refused)
    accuse("counters",
           "softnet_data.dropped sums to " + number(charged) + ", drops by CPU_BACKLOG to " + number(refused));
  if (shared_slots_.empty())
    for (const Attached& attached : core_.devices) check_qtails(attached);
}

void Judge::check_qtails(const Attached& attached) {
  for (const auto& rxq : attached.netif->rx_queues) {
    RpsDevFlowTable* table = rxq->rps_flow_table.read();
    for (std::uint32_t i = 0; table != nullptr && i < table->size(); ++i) {
      const std::uint16_t cpu = table->flows[i].cpu.load();
      if (!core_.net.possible(cpu)) continue;
      PacketRing& ring = core_.net.of(cpu).input;
      const std::uint32_t tail = ring.input_len() + ring.process_len() + ring.unfinished() + ring.head();
      if (!reached(tail, table->flows[i].last_qtail.load()))
        accuse("qtail", attached.netif->name + " slot " + number(i) + " waits for " +
                            number(table->flows[i].last_qtail.load()) + " on CPU " + number(cpu) + ", whose tail is " +
                            number(tail));
    }
  }
}

// ---- sleep ---------------------------------------------------------------------------------------------------------

void Judge::idle() {
  for (const auto& sd : core_.net.cpus)
    if (sd != nullptr && core_.net.cpu_online(sd->cpu.id())) check_cpu_asleep(*sd);
  for (const Attached& attached : core_.devices) {
    // A guest on some CPU may stand between giving a NAPI up and arming its timer.
    for (std::size_t i = 0; nobody_occupies() && i < attached.netif->rx_queues.size(); ++i)
      check_queue_asleep(attached, i);
    if (shared_slots_.empty()) check_qtails(attached);
  }
}

void Judge::stalled() {
  idle();
  const bool all_ended = std::ranges::all_of(machine_.tasks(), [](const auto& task) {
    return task->state != SimTask::State::ready && (task->name != "thread" || task->state == SimTask::State::ended);
  });
  if (quiet_end_ && alive_.empty() && all_ended) return check_end();
  accuse("stall", "nobody will ever run again; " + backlog_of_work());
}

void Judge::check_cpu_asleep(SoftnetData& sd) {
  const std::string cpu = "CPU " + number(sd.cpu.id());
  const std::uint32_t held = sd.input.input_len() + sd.input.process_len();
  if (held != 0)
    accuse("lost_wakeup", cpu + " sleeps with " + number(held) + " packets in its backlog, " +
                              (sd.backlog.state.test(kNapiSched) ? "which is scheduled" : "which is not scheduled"));
  if (sd.net_rx_pending || !sd.poll_list.empty()) accuse("lost_wakeup", cpu + " sleeps with NET_RX pending");
  if (sd.rps_ipi_list != nullptr) accuse("lost_wakeup", cpu + " sleeps and has doorbells to ring");
  if (sd.backlog.state.test(kNapiSched)) accuse("lost_wakeup", cpu + " sleeps while its backlog is scheduled");
  const std::uint32_t deferred = sd.defer.count.load();
  if (!hotplugged_ && deferred > static_cast<std::uint32_t>(core_.net.tunables.skb_defer_max.read()) / 2)
    accuse("lost_wakeup",
           cpu + " sleeps with " + number(deferred) + " deferred frees, more than half of skb_defer_max");
  if (sd.defer.ipi_scheduled.load()) accuse("lost_wakeup", cpu + " sleeps though its deferred frees were announced");
}

void Judge::check_queue_asleep(const Attached& attached, std::size_t index) {
  NapiStruct& napi = *attached.netif->rx_queues[index]->napi;
  JudgedQueue& queue = dynamic_cast<JudgedQueue&>(*napi.queue);
  if (const std::string why = queue.stuck(); !why.empty())
    accuse("lost_kick", attached.netif->name + " queue " + number(index) + ": " + why);
  if (!attached.netif->running.load()) return;
  const std::uint32_t state = napi.state.bits();
  if (state & kNapiSched)
    accuse("lost_wakeup", attached.netif->name + " queue " + number(index) + ": NAPI is owned (state " + number(state) +
                              ") and nobody polls it");
  check_unowned(attached, napi, queue);
  check_held(attached, napi);
}

/// Nobody owns the NAPI: what GRO holds waits for a timer, or would wait for ever.
void Judge::check_held(const Attached& attached, NapiStruct& napi) {
  const std::uint64_t held = napi.gro.held_in.read() - napi.gro.held_out.read();
  if (held != 0 && napi.timer_deadline.load() == kNever.count())
    accuse("stall", attached.netif->name + " queue " + number(napi.queue_index) + ": GRO holds " + number(held) +
                        " packets and no timer will flush them");
}

/// Nobody owns the NAPI: an interrupt or a timer must come, and its CPU wake for it.
void Judge::check_unowned(const Attached& attached, NapiStruct& napi, JudgedQueue& queue) {
  const std::string name = attached.netif->name + " queue " + number(napi.queue_index);
  const Nanos now = machine_.now();
  const std::uint16_t irq_cpu = napi.irq_cpu.load();
  const SimTask* task = cpus_.task_of(irq_cpu);
  const Nanos wakes = task == nullptr ? kNever : task->alarm;
  const Nanos timer{napi.timer_deadline.load()};
  if (timer != kNever) {
    if (wakes > std::max(timer, now))
      accuse("lost_wakeup", name + ": its timer fires at " + micros(timer) + " but CPU " + number(irq_cpu) +
                                " sleeps until " + micros(wakes));
    return;
  }
  if (napi.queue->exhausted()) return;
  if (queue.masked()) accuse("lost_irq", name + " has its interrupt masked and no timer");
  if (queue.due(now) && !queue.would_interrupt(now))
    accuse("lost_irq", name + " has frames that no interrupt will announce");
  if (wakes > std::max(now, queue.due(now) ? now : queue.next_arrival()))
    accuse("lost_wakeup", name + ": CPU " + number(irq_cpu) + " sleeps through an arrival at " +
                              micros(queue.due(now) ? now : queue.next_arrival()) + ", until " + micros(wakes));
}

std::string Judge::backlog_of_work() {
  std::string text = "at " + micros(machine_.now()) + " " + number(alive_.size()) + " packets on their way;";
  for (const auto& task : machine_.tasks())
    if (!task->daemon && task->state != SimTask::State::ended)
      text += " " + task->name + (task->state == SimTask::State::ready ? " at " : " asleep until ") +
              micros(task->time) + ";";
  for (const auto& sd : core_.net.cpus) {
    if (sd == nullptr) continue;
    text += " cpu" + number(sd->cpu.id()) + (core_.net.cpu_online(sd->cpu.id()) ? ":" : " (offline):") +
            number(sd->input.input_len()) + "+" + number(sd->input.process_len()) +
            (sd->backlog.state.test(kNapiSched) ? " scheduled" : "") + (sd->net_rx_pending ? " pending" : "") + ";";
  }
  for (const Attached& attached : core_.devices)
    for (const auto& rxq : attached.netif->rx_queues)
      text += " " + attached.netif->name + "/" + number(rxq->napi->queue_index) + " state " +
              number(rxq->napi->state.bits()) + (rxq->napi->queue->exhausted() ? ";" : " not exhausted;");
  return text;
}

}  // namespace netrx::simtest
