// SPDX-License-Identifier: Apache-2.0
#include "netrx/engine.h"

#include <algorithm>

#include "engine/cpu_round.h"
#include "engine/engine_core.h"
#include "engine/read_stats.h"
#include "engine/settings.h"
#include "gro/gro_rules.h"
#include "host/host.h"
#include "observe/softnet_stat.h"
#include "receive/receive.h"
#include "softnet/free_packets.h"

namespace netrx {

namespace {

constexpr std::uint32_t kMaxCpus = 4096;
constexpr std::size_t kMaxBacklog = std::size_t{1} << 30;

Result<void> check_cpus(std::vector<std::uint16_t>& cpus) {
  std::sort(cpus.begin(), cpus.end());
  if (cpus.empty()) return fail(EINVAL, "cpus: none given; an engine needs at least one, e.g. 0-1");
  if (std::adjacent_find(cpus.begin(), cpus.end()) != cpus.end()) return fail(EINVAL, "cpus: one is named twice");
  if (cpus.back() >= kMaxCpus) return fail(EINVAL, "cpus: the highest number is " + std::to_string(kMaxCpus - 1));
  return {};
}

Result<void> check_backlog_capacity(std::uint32_t packets) {
  if (packets == 0 || (packets >= PacketBatch::kCapacity && packets <= kMaxBacklog)) return {};
  return fail(EINVAL, "backlog-capacity " + std::to_string(packets) + ": 64 to 2^30 packets, or 0 for all there are");
}

/// The monotonic clock of engines that run live; the simulator puts its own in its place.
struct LiveCore : EngineCore {
  explicit LiveCore(const EngineOptions& with) : EngineCore(with) { net.clock = &clock; }
  MonotonicClock clock;
};

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(const EngineOptions& wanted) {
  EngineOptions options = wanted;
  if (const auto ok = check_cpus(options.cpus); !ok) return std::unexpected(ok.error());
  for (const std::uint16_t cpu : options.irq_cpus)
    if (!std::binary_search(options.cpus.begin(), options.cpus.end(), cpu))
      return fail(EINVAL, "irq-cpus: CPU " + std::to_string(cpu) + " is not one of this engine's");
  if (options.hz < 1 || options.hz > 1000)
    return fail(EINVAL, "hz " + std::to_string(options.hz) + ": the tick is 1 to 1000 Hz");
  if (const auto key = Toeplitz::create(options.rss_key); !key) return std::unexpected(key.error());
  if (!options.flow_hash_key) options.flow_hash_key = SipHashKey{random_u64(), random_u64()};

  auto core = std::make_unique<LiveCore>(options);
  Softnet& net = core->net;
  net.nr_cpu_ids = options.cpus.back() + 1u;
  net.tick.hz = options.hz;
  net.tunables.netdev_budget_usecs.write(static_cast<int>(2'000'000 / options.hz));
  net.cpus.resize(net.nr_cpu_ids);
  net.online.reset(new std::atomic<bool>[net.nr_cpu_ids]());
  if (const auto ok = check_backlog_capacity(options.backlog_capacity); !ok) return std::unexpected(ok.error());
  // Every packet there is fits into any one backlog, unless the user wants it smaller.
  const std::size_t ring =
      options.backlog_capacity != 0
          ? options.backlog_capacity
          : std::min(options.pool_packets, kMaxBacklog / options.cpus.size()) * options.cpus.size();
  for (const std::uint16_t cpu : options.cpus) {
    Result<std::unique_ptr<PacketPool>> pool = PacketPool::create(cpu, options.pool_packets, options.frame_size);
    if (!pool) return std::unexpected(pool.error());
    net.cpus[cpu] =
        std::make_unique<SoftnetData>(cpu, std::move(*pool), static_cast<std::uint32_t>(ring), net.nr_cpu_ids);
    net.online[cpu].store(true);
  }
  (void)net.packet_types.exchange(std::make_unique<PacketTypes>());
  core->rps_default_mask = CpuMask(net.nr_cpu_ids);
  return std::unique_ptr<Engine>(new Engine(std::move(core)));
}

Engine::Engine(std::unique_ptr<EngineCore> core) : core_(std::move(core)) {}
Engine::~Engine() = default;

Result<std::uint32_t> Engine::attach(std::unique_ptr<NetDevice> device) {
  const std::lock_guard lock(core_->control);
  return core_->attach(std::move(device));
}

Result<void> Engine::detach(std::string_view name) {
  const std::lock_guard lock(core_->control);
  return core_->detach(name);
}

namespace {

Result<Netif*> need_device(const EngineCore& core, std::string_view name) {
  if (Netif* netif = core.find(name)) return netif;
  std::string known;
  for (const Attached& attached : core.devices) known += (known.empty() ? "" : ", ") + attached.netif->name;
  return fail(ENODEV, "no device " + std::string(name) + "; attached: " + (known.empty() ? "none" : known));
}

/// The device of a handler or tap: none named means all.
Result<const Netif*> device_or_all(const EngineCore& core, std::string_view name) {
  if (name.empty()) return nullptr;
  const Result<Netif*> found = need_device(core, name);
  if (!found) return std::unexpected(found.error());
  return *found;
}

}  // namespace

Result<void> Engine::set_running(std::string_view name, bool running) {
  const std::lock_guard lock(core_->control);
  const Result<Netif*> netif = need_device(*core_, name);
  return netif ? core_->set_running(**netif, running) : std::unexpected(netif.error());
}

Result<void> Engine::bind_irq(std::string_view name, std::size_t queue, std::uint16_t cpu) {
  const std::lock_guard lock(core_->control);
  const Result<Netif*> found = need_device(*core_, name);
  if (!found) return std::unexpected(found.error());
  const Netif& netif = **found;
  if (queue < netif.rx_queues.size()) return core_->bind_irq(*netif.rx_queues[queue]->napi, cpu);
  return fail(EINVAL, netif.name + " has no queue " + std::to_string(queue) + "; it has " +
                          std::to_string(netif.rx_queues.size()));
}

Result<void> Engine::add_handler(Be16 type, PacketHandler& handler, std::string_view device) {
  const std::lock_guard lock(core_->control);
  const Result<const Netif*> netif = device_or_all(*core_, device);
  if (!netif) return std::unexpected(netif.error());
  auto types = std::make_unique<PacketTypes>(*core_->net.packet_types.read());
  if (const auto added = types->add({type, *netif, &handler}); !added) return added;
  core_->replace(core_->net.packet_types, std::move(types));
  return {};
}

Result<void> Engine::remove_handler(PacketHandler& handler) {
  const std::lock_guard lock(core_->control);
  auto types = std::make_unique<PacketTypes>(*core_->net.packet_types.read());
  types->remove(handler);
  core_->replace(core_->net.packet_types, std::move(types));
  return {};
}

Result<void> Engine::add_tap(Tap& tap, std::string_view device) {
  const std::lock_guard lock(core_->control);
  const Result<const Netif*> netif = device_or_all(*core_, device);
  if (!netif) return std::unexpected(netif.error());
  auto types = std::make_unique<PacketTypes>(*core_->net.packet_types.read());
  types->taps.push_back({*netif, &tap});
  core_->replace(core_->net.packet_types, std::move(types));
  return {};
}

Result<void> Engine::remove_tap(Tap& tap) {
  const std::lock_guard lock(core_->control);
  auto types = std::make_unique<PacketTypes>(*core_->net.packet_types.read());
  std::erase_if(types->taps, [&](const PacketTypes::TapEntry& entry) { return entry.tap == &tap; });
  core_->replace(core_->net.packet_types, std::move(types));
  return {};
}

void Engine::set_gro_endpoints(std::span<const GroEndpoint> endpoints) {
  const std::lock_guard lock(core_->control);
  core_->replace(core_->net.gro_endpoints, endpoints.empty() ? nullptr : std::make_unique<GroEndpoints>(endpoints));
}

void Engine::set_tracer(Tracer* tracer) { core_->net.tracer = tracer; }

Result<void> Engine::write(std::string_view path, std::string_view text) {
  const std::lock_guard lock(core_->control);
  return write_setting(*core_, path, text);
}

Result<std::string> Engine::read(std::string_view path) const {
  const std::lock_guard lock(core_->control);
  return read_setting(*core_, path);
}

std::vector<std::string> Engine::settings() const {
  const std::lock_guard lock(core_->control);
  return list_settings(*core_);
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(core_->control);
  return read_stats(*core_);
}

std::string Engine::softnet_stat() const { return softnet_stat_text(stats().cpus); }

bool Engine::drained() const {
  const std::lock_guard lock(core_->control);
  return nothing_in_flight(*core_);
}

}  // namespace netrx
