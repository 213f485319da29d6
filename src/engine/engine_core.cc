// SPDX-License-Identifier: Apache-2.0
#include "engine/engine_core.h"

#include <algorithm>

#include "backlog/backlog.h"
#include "engine/cpu_round.h"
#include "engine/settings.h"
#include "gro/gro.h"
#include "napi/napi.h"
#include "receive/receive.h"
#include "softnet/free_packets.h"
#include "softnet/schedule.h"

namespace netrx {

namespace {

constexpr Nanos kDisableTimeout = std::chrono::seconds(5);

Result<FlowHasher> make_hasher(const EngineOptions& options, FlowHashKind kind) {
  if (kind == FlowHashKind::siphash) return FlowHasher(SipHash(*options.flow_hash_key));
  Result<Toeplitz> toeplitz = Toeplitz::create(options.rss_key);
  if (!toeplitz) return std::unexpected(toeplitz.error());
  return FlowHasher(*toeplitz);
}

/// Kernel: dev_valid_name.
bool valid_name(std::string_view name) {
  if (name.empty() || name.size() > 15 || name == "." || name == "..") return false;
  return std::none_of(name.begin(), name.end(), [](char c) { return c == '/' || c == ':' || c <= ' '; });
}

}  // namespace

Netif* EngineCore::find(std::string_view name) const {
  for (const Attached& attached : devices)
    if (attached.netif->name == name) return attached.netif.get();
  return nullptr;
}

std::vector<std::uint16_t> EngineCore::online_cpus() const {
  std::vector<std::uint16_t> cpus;
  for (std::uint32_t cpu = 0; cpu < net.nr_cpu_ids; ++cpu)
    if (net.cpu_online(cpu)) cpus.push_back(static_cast<std::uint16_t>(cpu));
  return cpus;
}

std::vector<std::uint16_t> EngineCore::irq_cpus() const {
  std::vector<std::uint16_t> cpus = options.irq_cpus;
  std::erase_if(cpus, [&](std::uint16_t cpu) { return !net.cpu_online(cpu); });
  return cpus.empty() ? online_cpus() : cpus;
}

Result<std::uint32_t> EngineCore::attach(std::unique_ptr<NetDevice> device) {
  const std::string name(device->name());
  if (!valid_name(name))
    return fail(EINVAL,
                "device name \"" + name + "\": 1 to 15 characters, no space, '/' or ':'; choose one with name=");
  if (find(name) != nullptr) return fail(EEXIST, "device " + name + " is attached already; choose another with name=");
  Result<FlowHasher> hasher = make_hasher(options, device->flow_hash());
  if (!hasher) return std::unexpected(hasher.error());

  auto netif = std::make_unique<Netif>(*device, next_ifindex++, std::move(*hasher));
  for (std::size_t i = 0; i < device->queue_count(); ++i) {
    auto rxq = std::make_unique<NetifRxQueue>();
    if (auto map = default_rps_map(*this)) {
      (void)rxq->rps_map.exchange(std::move(map));
      net.rps_needed.fetch_add(1, std::memory_order_relaxed);
    }
    rxq->napi = std::make_unique<NapiStruct>(netif.get(), &device->queue(i));
    rxq->napi->queue_index = static_cast<std::uint16_t>(i);
    // Ids of NAPIs start above every CPU number, which the kernel keeps for socket marks.
    rxq->napi->napi_id = net.nr_cpu_ids + ++next_napi_id;
    rxq->napi->state.set(kNapiListed);
    netif->rx_queues.push_back(std::move(rxq));
  }
  Netif& attached = *netif;
  devices.push_back({std::move(device), std::move(netif)});
  const std::vector<std::uint16_t> cpus = irq_cpus();
  for (const auto& rxq : attached.rx_queues)
    if (const auto bound = bind_irq(*rxq->napi, cpus[next_irq++ % cpus.size()]); !bound)
      return std::unexpected(bound.error());
  if (const auto up = set_running(attached, true); !up) return std::unexpected(up.error());
  return attached.ifindex;
}

Result<void> EngineCore::disable_napi(NapiStruct& napi) {
  begin_disable(napi);
  const Nanos give_up = net.clock->now() + kDisableTimeout;
  while (!try_disable(napi)) {
    if (!executing) run_pending_softirqs();
    if (net.clock->now() > give_up) {
      napi.state.clear(kNapiDisable);
      return fail(ETIMEDOUT, napi.netif->name + ": the poll of queue " + std::to_string(napi.queue_index) +
                                 " does not end; is a handler stuck?");
    }
    control_actor->relax();
  }
  return {};
}

void EngineCore::run_pending_softirqs() {
  for (const auto& sd : net.cpus) {
    if (sd == nullptr || !net.cpu_online(sd->cpu.id())) continue;
    CpuGuard guard(sd->cpu, *control_actor);
    run_cpu_round(net, *sd);
  }
}

Result<void> EngineCore::set_running(Netif& netif, bool running) {
  if (netif.running.load(std::memory_order_relaxed) == running) return {};
  if (!running) {
    for (const auto& rxq : netif.rx_queues)
      if (const auto done = disable_napi(*rxq->napi); !done) return done;
    netif.running.store(false, std::memory_order_release);
    return {};
  }
  netif.running.store(true, std::memory_order_release);
  for (const auto& rxq : netif.rx_queues) {
    NapiStruct& napi = *rxq->napi;
    napi_enable(napi, netif.threaded.load(std::memory_order_relaxed));
    // Once unconditionally: the queue may have filled while nobody would have been told.
    SoftnetData& sd = net.of(napi.irq_cpu.load(std::memory_order_relaxed));
    GuestGuard guard(net, sd, *control_actor);
    napi_schedule(net, sd, napi);
  }
  return {};
}

Result<void> EngineCore::set_threaded(Netif& netif, bool threaded) {
  if (netif.threaded.exchange(threaded) == threaded || napi_threads == nullptr) return {};
  for (const auto& rxq : netif.rx_queues) {
    NapiStruct& napi = *rxq->napi;
    if (threaded) {
      if (const auto started = napi_threads->start(napi); !started) {
        netif.threaded.store(false);
        return started;
      }
      napi.state.set(kNapiThreaded);
      continue;
    }
    napi.state.clear(kNapiThreaded);
    napi_threads->stop(napi);
    // The thread may have ended as the owner, or somebody made it one who had still seen it: its softirq goes on then.
    // Waiting for it to finish first could take for ever under load.
    if (!napi.state.test(kNapiSchedThreaded)) continue;
    SoftnetData& sd = net.of(napi.irq_cpu.load(std::memory_order_relaxed));
    GuestGuard guard(net, sd, *control_actor);
    napi.state.clear(kNapiSchedThreaded);
    schedule_owned(net, sd, napi);
  }
  return {};
}

Result<void> EngineCore::bind_irq(NapiStruct& napi, std::uint16_t cpu) {
  if (!net.cpu_online(cpu))
    return fail(EINVAL, "irq of " + napi.netif->name + " queue " + std::to_string(napi.queue_index) + ": CPU " +
                            std::to_string(cpu) + " is not online");
  const std::uint16_t old = napi.irq_cpu.load(std::memory_order_relaxed);
  if (old == cpu) return {};
  if (net.possible(old)) {
    SoftnetData& sd = net.of(old);
    CpuGuard guard(sd.cpu, *control_actor);
    std::erase(sd.irq_napis, &napi);
  }
  SoftnetData& sd = net.of(cpu);
  {
    CpuGuard guard(sd.cpu, *control_actor);
    napi.irq_cpu.store(cpu, std::memory_order_seq_cst);  // pairs with arm_napi_timer
    sd.irq_napis.push_back(&napi);
  }
  ring_doorbell(sd, *control_actor, kBellKick);
  return {};
}

Result<void> EngineCore::detach(std::string_view name) {
  const auto at =
      std::find_if(devices.begin(), devices.end(), [&](const Attached& a) { return a.netif->name == name; });
  if (at == devices.end()) return fail(ENODEV, "no device " + std::string(name) + " is attached");
  Netif& netif = *at->netif;
  if (const auto down = set_running(netif, false); !down) return down;
  if (const auto unthreaded = set_threaded(netif, false); !unthreaded) return unthreaded;
  forget_interrupts(netif);
  give_up_gro(netif);
  net.synchronize_net(*control_actor);  // who saw it running has enqueued by now
  for (const auto& sd : net.cpus) {
    if (sd == nullptr) continue;
    CpuGuard guard(sd->cpu, *control_actor);
    if (sd->input.input_len() + sd->input.process_len() != 0) flush_backlog(net, *sd, netif);
  }
  auto types = std::make_unique<PacketTypes>(*net.packet_types.read());
  types->forget(netif);
  replace(net.packet_types, std::move(types));
  for (const auto& rxq : netif.rx_queues)
    if (rxq->rps_map.read() != nullptr) net.rps_needed.fetch_sub(1, std::memory_order_relaxed);
  // Applications may still hold its packets, and those its frames.
  detached.push_back(std::move(*at));
  devices.erase(at);
  return {};
}

void EngineCore::give_up_gro(Netif& netif) {
  for (const auto& rxq : netif.rx_queues) {
    NapiStruct& napi = *rxq->napi;  // disabled: nobody else's
    SoftnetData& sd = net.of(napi.irq_cpu.load(std::memory_order_relaxed));
    CpuGuard guard(sd.cpu, *control_actor);
    while (gro_holds_packets(napi.gro)) {
      PacketBatch packets;
      gro_give_up(napi.gro, packets);
      drop_packets(net, sd, packets.packets(), DropReason::kNotSpecified);
      packets.released();
    }
  }
}

void EngineCore::forget_interrupts(const Netif& netif) {
  for (const auto& sd : net.cpus) {
    if (sd == nullptr) continue;
    CpuGuard guard(sd->cpu, *control_actor);
    std::erase_if(sd->irq_napis, [&](const NapiStruct* napi) { return napi->netif == &netif; });
  }
}

Result<void> EngineCore::set_online(std::uint16_t cpu, bool online) {
  if (!net.possible(cpu)) return fail(EINVAL, "CPU " + std::to_string(cpu) + " is not one of this engine's");
  if (net.cpu_online(cpu) == online) return {};
  if (online) {
    net.online[cpu].store(true, std::memory_order_release);
    SoftnetData& sd = net.of(cpu);
    {
      // A free that raced with its going down may have announced itself to nobody: its bell was swallowed, and with the
      // flag left set no other would ever ring.
      GuestGuard guard(net, sd, *control_actor);
      sd.defer.ipi_scheduled.store(false, std::memory_order_release);
      raise_net_rx(net, sd);
    }
    ring_doorbell(sd, *control_actor, kBellKick);
    return {};
  }
  const std::vector<std::uint16_t> now_online = online_cpus();
  if (now_online.size() == 1) return fail(EBUSY, "CPU " + std::to_string(cpu) + " is the last one online");
  net.online[cpu].store(false, std::memory_order_release);
  net.synchronize_net(*control_actor);  // from here on nobody enqueues there or links it for a doorbell
  SoftnetData& dead = net.of(cpu);
  for (const std::uint16_t other : now_online) unlink_from_doorbells(net.of(other), dead);
  SoftnetData& survivor = net.of(now_online[0] == cpu ? now_online[1] : now_online[0]);
  {
    CpuGuard survivor_guard(survivor.cpu, *control_actor);
    CpuGuard dead_guard(dead.cpu, *control_actor);
    survivor.now = net.clock->now();
    take_over_dead_cpu(net, survivor, dead);
  }
  ring_doorbell(survivor, *control_actor, kBellKick);
  return {};
}

void EngineCore::unlink_from_doorbells(SoftnetData& sd, const SoftnetData& dead) {
  CpuGuard guard(sd.cpu, *control_actor);
  for (SoftnetData** link = &sd.rps_ipi_list; *link != nullptr; link = &(*link)->rps_ipi_next) {
    if (*link != &dead) continue;
    *link = dead.rps_ipi_next;
    return;
  }
}

}  // namespace netrx
