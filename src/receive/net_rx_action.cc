// SPDX-License-Identifier: Apache-2.0
#include "backlog/backlog.h"
#include "napi/napi.h"
#include "netrx/device.h"
#include "receive/receive.h"
#include "softnet/free_packets.h"

namespace netrx {

namespace {

constexpr int kMaxSoftirqRestart = 10;
constexpr Nanos kMaxSoftirqTime = std::chrono::milliseconds(2);

}  // namespace

void take_interrupts(Softnet& net, SoftnetData& sd) {
  answer_doorbell(net, sd);
  for (NapiStruct* napi : sd.irq_napis) {
    run_napi_timer(net, sd, *napi);
    if (napi->queue->irq_take(sd.now)) {
      sd.cpu.at(Site::irq);
      napi_schedule(net, sd, *napi);
    }
  }
}

void net_rx_action(Softnet& net, SoftnetData& sd) {
  List<NapiStruct> list;
  List<NapiStruct> repoll;
  int budget = net.tunables.netdev_budget.read();
  const std::chrono::microseconds limit{net.tunables.netdev_budget_usecs.read()};
  const std::uint64_t deadline = net.tick.jiffies(sd.now) + net.tick.jiffies(limit);

  sd.in_net_rx_action = true;
  list.splice_back(sd.poll_list);
  for (;;) {
    flush_deferred(sd);
    if (list.empty()) {
      if (!repoll.empty()) break;
      sd.in_net_rx_action = false;
      if (sd.poll_list.empty()) {
        if (sd.rps_ipi_list == nullptr) return;
        break;
      }
      sd.in_net_rx_action = true;
      list.splice_back(sd.poll_list);
      continue;
    }
    NapiStruct& napi = list.pop_front();
    const PollStep step = napi_poll(net, sd, napi);
    if (step.repoll) repoll.push_back(napi);
    budget -= step.work;
    take_interrupts(net, sd);
    if (budget <= 0 || net.tick.jiffies(sd.now) >= deadline) {
      sd.time_squeeze.add();
      break;
    }
  }

  // Those not reached go first, then what came meanwhile, then those that used up their weight.
  list.splice_back(sd.poll_list);
  list.splice_back(repoll);
  sd.poll_list.splice_back(list);
  // With work left the flag stays set and the raise is pending: either alone would be a stall.
  sd.in_net_rx_action = !sd.poll_list.empty();
  if (sd.in_net_rx_action) raise_net_rx(net, sd);
  send_rps_doorbells(net, sd);
}

bool do_softirq(Softnet& net, SoftnetData& sd) {
  const Nanos end = sd.now + kMaxSoftirqTime;
  for (int pass = 0; sd.net_rx_pending; ++pass) {
    if (pass == kMaxSoftirqRestart || sd.now >= end || (pass != 0 && sd.cpu.wanted())) {
      sd.ksoftirqd.add();
      return false;
    }
    sd.cpu.at(Site::softirq);
    sd.net_rx_pending = false;
    sd.softirqs.add();
    if (net.tracer != nullptr) net.tracer->softirq_entry(sd.cpu.id());
    net_rx_action(net, sd);
    if (net.tracer != nullptr) net.tracer->softirq_exit(sd.cpu.id());
    take_interrupts(net, sd);
  }
  return true;
}

}  // namespace netrx
