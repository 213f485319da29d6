// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <string>

#include "engine/cpu_round.h"
#include "engine/engine_core.h"
#include "receive/receive.h"
#include "softnet/free_packets.h"
#include "wire/eth_type_trans.h"

namespace netrx {

struct Application::State {
  EngineCore& core;
  Actor actor;
  Turnstile turnstile;
};

std::unique_ptr<Application> Engine::open_application() {
  const std::lock_guard lock(core_->control);
  auto state = std::make_unique<Application::State>(*core_, Actor(core_->control_actor->interleaver()));
  core_->net.readers.push_back(&state->turnstile);
  return std::unique_ptr<Application>(new Application(std::move(state)));
}

Application::Application(std::unique_ptr<State> state) : state_(std::move(state)) {}

Application::~Application() {
  const std::lock_guard lock(state_->core.control);
  std::erase(state_->core.net.readers, &state_->turnstile);
}

void Application::record_flow(std::uint32_t hash, std::uint16_t cpu) {
  state_->actor.at(Site::record_flow);
  ReaderGuard reading(state_->turnstile, state_->actor);
  if (RpsSockFlowTable* table = state_->core.net.rps_sock_flow_table.read()) table->record(hash, cpu);
}

void Application::record_flows(std::span<Packet* const> packets, std::uint16_t cpu) {
  state_->actor.at(Site::record_flow, static_cast<std::uint32_t>(packets.size()));
  ReaderGuard reading(state_->turnstile, state_->actor);
  RpsSockFlowTable* table = state_->core.net.rps_sock_flow_table.read();
  if (table == nullptr) return;
  for (const Packet* packet : packets) table->record(packet->hash, cpu);
}

void Application::free_packets(PacketBatch& packets) {
  consume_packets_from_application(state_->core.net, state_->actor, packets.packets());
  packets.released();
}

namespace {

/// Loopback's transmit: the frame as it comes out of the link layer on the other side.
void receive_frame(Packet& packet, Netif& netif, std::span<const std::uint8_t> frame) {
  std::memcpy(packet.data, frame.data(), frame.size());
  const wire::EtherResult link = wire::eth_type_trans(frame, netif.device.address());
  packet.dev = &netif;
  packet.mac_header = static_cast<std::uint16_t>(packet.headroom());
  packet.protocol = link.protocol;
  packet.pkt_type = link.kind;
  packet.data += wire::EthernetView::kSize;
  packet.len = static_cast<std::uint32_t>(frame.size() - wire::EthernetView::kSize);
  packet.network_header = packet.transport_header = static_cast<std::uint16_t>(packet.headroom());
}

Result<void> check_frames(const EngineCore& core, std::span<const std::span<const std::uint8_t>> frames) {
  for (const std::span<const std::uint8_t> frame : frames)
    if (frame.size() < wire::EthernetView::kSize || frame.size() > core.options.frame_size)
      return fail(EINVAL, "a frame of " + std::to_string(frame.size()) + " bytes: 14 to " +
                              std::to_string(core.options.frame_size) + " can be sent (frame-size)");
  return {};
}

}  // namespace

Result<std::size_t> Application::transmit(std::string_view device, std::uint16_t cpu,
                                          std::span<const std::span<const std::uint8_t>> frames) {
  EngineCore& core = state_->core;
  const std::lock_guard lock(core.control);
  Netif* netif = core.find(device);
  if (netif == nullptr) return fail(ENODEV, "no device " + std::string(device) + " is attached");
  if (!netif->running.load(std::memory_order_relaxed)) return fail(ENETDOWN, netif->name + " is down");
  if (!core.net.cpu_online(cpu)) return fail(EINVAL, "CPU " + std::to_string(cpu) + " is not online");
  if (const auto ok = check_frames(core, frames); !ok) return std::unexpected(ok.error());

  SoftnetData& sd = core.net.of(cpu);
  GuestGuard guard(core.net, sd, state_->actor);
  flush_deferred(sd);  // what went home may be all there is
  std::size_t sent = 0;
  while (sent < frames.size()) {
    PacketBatch batch;
    const std::size_t wanted = std::min(frames.size() - sent, PacketBatch::kCapacity);
    const std::size_t got = sd.pool->alloc(batch.extend(wanted));
    batch.truncate(got);
    for (Packet* packet : batch) {
      packet->rx_seq = netif->injected++;
      receive_frame(*packet, *netif, frames[sent++]);
    }
    netif_rx(core.net, sd, batch);
    if (got < wanted) break;
  }
  return sent;
}

namespace {

/// The NAPI with this id; found under `control`, valid as long as its device, which is kept to the engine's end.
NapiStruct* find_napi(EngineCore& core, std::uint32_t napi_id) {
  const std::lock_guard lock(core.control);
  for (const Attached& attached : core.devices)
    for (const auto& rxq : attached.netif->rx_queues)
      if (rxq->napi->napi_id == napi_id) return rxq->napi.get();
  return nullptr;
}

/// Does something as a guest of CPU `wanted`, or, if that went offline, of another one: a thread is moved away from a
/// dying CPU, and what it scheduled there afterwards nobody would ever poll. (The analysis can't see that the CPU
/// `step` requires is the one it is given.)
template <class Step>
void on_cpu(Softnet& net, Actor& actor, std::uint16_t wanted, const Step& step) NETRX_NO_THREAD_SAFETY_ANALYSIS {
  for (std::uint32_t cpu = wanted;; cpu = (cpu + 1) % net.nr_cpu_ids) {
    if (!net.cpu_online(cpu)) continue;
    SoftnetData& sd = net.of(cpu);
    GuestGuard guard(net, sd, actor);
    if (net.cpu_online(cpu)) return step(sd);
  }
}

}  // namespace

Result<std::uint32_t> Application::busy_poll(const BusyPollRequest& request) {
  EngineCore& core = state_->core;
  NapiStruct* napi = find_napi(core, request.napi_id);
  if (napi == nullptr) return fail(ENOENT, "no NAPI has the id " + std::to_string(request.napi_id));
  if (!core.net.cpu_online(request.cpu)) return fail(EINVAL, "CPU " + std::to_string(request.cpu) + " is not online");
  const BusyPoll how{.budget = std::max<int>(request.budget, 1), .prefer = request.prefer};

  std::uint32_t got = 0;
  bool owned = false;
  for (std::uint32_t turn = 0; turn < request.turns && got < request.until; ++turn) {
    on_cpu(core.net, state_->actor, request.cpu, [&](SoftnetData& sd) NETRX_REQUIRES(sd.cpu) {
      got += static_cast<std::uint32_t>(std::max(napi_busy_poll(core.net, sd, *napi, how, owned), 0));
    });
    state_->actor.relax();
  }
  if (!owned) return fail(EBUSY, "NAPI " + std::to_string(request.napi_id) + " was owned by others all the time");
  on_cpu(core.net, state_->actor, request.cpu,
         [&](SoftnetData& sd) NETRX_REQUIRES(sd.cpu) { napi_busy_poll_end(core.net, sd, *napi, how); });
  return got;
}

}  // namespace netrx
