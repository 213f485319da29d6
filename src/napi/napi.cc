// SPDX-License-Identifier: Apache-2.0
#include "napi/napi.h"

#include "netrx/device.h"
#include "softnet/free_packets.h"

namespace netrx {

bool napi_schedule(Softnet& net, SoftnetData& sd, NapiStruct& napi) {
  sd.cpu.at(Site::napi_state);
  if (!napi.state.schedule_prep()) return false;
  // Only the winner masks: a loser that masked could do so after the owner's completion unmasked, for good.
  if (napi.queue != nullptr) napi.queue->irq_mask();
  schedule_owned(net, sd, napi);
  return true;
}

Completion begin_complete(NapiStruct& napi, int work, bool gro_holds_packets) {
  if (napi.state.test(kNapiNpsvc | kNapiInBusyPoll)) return {.refused = true, .unmask = false};
  Completion completion{.refused = false, .unmask = true};
  const Nanos flush_timeout{napi.netif->gro_flush_timeout.load(std::memory_order_relaxed)};
  if (work > 0) {
    if (gro_holds_packets) completion.timeout = flush_timeout;
    napi.defer_hard_irqs_count = napi.netif->napi_defer_hard_irqs.load(std::memory_order_relaxed);
  }
  if (napi.defer_hard_irqs_count > 0) {
    --napi.defer_hard_irqs_count;
    completion.timeout = flush_timeout;
    if (completion.timeout > Nanos{0}) completion.unmask = false;
  }
  return completion;
}

bool finish_complete(Softnet& net, SoftnetData& sd, NapiStruct& napi, const Completion& completion) {
  if (napi.linked()) napi.unlink();
  napi.list_owner = kNoCpu;
  sd.cpu.at(Site::napi_state);
  if (!napi.state.complete()) {
    if (napi.queue != nullptr) napi.queue->irq_mask();
    schedule_owned(net, sd, napi);
    return false;
  }
  // Armed only now, when nobody owns the NAPI: a watchdog that fires earlier would find it owned and give up for good.
  if (completion.timeout > Nanos{0}) arm_napi_timer(net, sd, napi, completion.timeout);
  return completion.unmask;
}

void arm_napi_timer(Softnet& net, SoftnetData& sd, NapiStruct& napi, Nanos timeout) {
  sd.cpu.at(Site::napi_state);
  // Sequentially consistent, as is bind_irq's side: either this sees the CPU that the interrupt was just moved to, or
  // that CPU's first look at its NAPIs sees the deadline.
  napi.timer_deadline.store((sd.now + timeout).count(), std::memory_order_seq_cst);
  const std::uint16_t irq_cpu = napi.irq_cpu.load(std::memory_order_seq_cst);
  // The timer runs where the interrupt lands. That CPU's thread may be asleep without knowing of it, even if this is
  // that CPU: a NAPI's own thread and busy-polling applications are guests here.
  if (net.possible(irq_cpu)) ring_doorbell(net.of(irq_cpu), sd.cpu.actor(), kBellKick);
}

void run_napi_timer(Softnet& net, SoftnetData& sd, NapiStruct& napi) {
  Nanos::rep deadline = napi.timer_deadline.load(std::memory_order_acquire);
  if (deadline > sd.now.count()) return;
  // Only the deadline seen is taken away: one that a completion elsewhere has just set stays armed.
  if (!napi.timer_deadline.compare_exchange_strong(deadline, kNever.count(), std::memory_order_acq_rel)) return;
  sd.cpu.at(Site::napi_state);
  if (!napi.state.try_own()) return;
  napi.state.clear(kNapiPreferBusyPoll);
  schedule_owned(net, sd, napi);
}

void napi_enable(NapiStruct& napi, bool threaded) {
  NETRX_CHECK(napi.state.test(kNapiSched));
  const bool has_thread = threaded && napi.thread.load(std::memory_order_acquire) != nullptr;
  if (has_thread) napi.state.set(kNapiThreaded);
  napi.state.clear(kNapiSched | kNapiNpsvc);
}

void begin_disable(NapiStruct& napi) { napi.state.set(kNapiDisable); }

bool try_disable(NapiStruct& napi) {
  if (!napi.state.try_disable()) return false;
  napi.timer_deadline.store(kNever.count(), std::memory_order_relaxed);
  napi.state.clear(kNapiDisable);
  return true;
}

}  // namespace netrx
