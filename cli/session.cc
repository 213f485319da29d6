// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <fmt/format.h>

#include "host_cpus.h"
#include "netrx/ethertype.h"
#include "units.h"
#ifdef NETRX_HAVE_AF_XDP
#include "netrx/af_xdp.h"
#endif
#ifdef NETRX_HAVE_PCAP
#include "netrx/pcap.h"
#endif

namespace netrx::cli {

DeviceCatalog device_catalog([[maybe_unused]] Reading reading) {
  DeviceCatalog catalog = DeviceCatalog::builtin();
#ifdef NETRX_HAVE_PCAP
  add_pcap_devices(catalog, std::move(reading));
#endif
#ifdef NETRX_HAVE_AF_XDP
  add_af_xdp_devices(catalog);
#endif
  return catalog;
}

Session::Session(const RunOptions& options, Reading reading)
    : options_(options),
      reading_(std::move(reading)),
      cpus_(options.cpus.empty() ? usable_cpus() : options.cpus),
      flows_(options.order_flows) {}

Session::~Session() {
  stop();
  for (const auto& inlet : inlets_) [[maybe_unused]]
    const Result<void> removed = engine_->remove_handler(*inlet);
}

Result<std::unique_ptr<Session>> Session::open(const RunOptions& options, Reading reading) {
  std::unique_ptr<Session> session(new Session(options, std::move(reading)));
  if (const auto ok = session->make_engine(); !ok) return std::unexpected(ok.error());
  if (const auto ok = session->write_core(); !ok) return std::unexpected(ok.error());
  for (const std::string& spec : options.devices)
    if (const auto ok = session->attach(spec); !ok) return std::unexpected(ok.error());
  for (const DeviceStats& device : session->engine_->stats().devices)
    if (const auto ok = session->write_device(device); !ok) return std::unexpected(ok.error());
  for (const Assignment& assignment : options.set)
    if (const auto ok = session->write(assignment, assignment.key); !ok) return std::unexpected(ok.error());
  session->engine_->set_gro_endpoints(options.gro_endpoints);
  if (const auto ok = session->connect(); !ok) return std::unexpected(ok.error());
  return session;
}

Result<void> Session::make_engine() {
  if (const auto ok = check_usable("--cpus " + cpu_list(cpus_), cpus_); !ok) return ok;
  EngineOptions engine_options;
  engine_options.cpus = cpus_;
  engine_options.irq_cpus = options_.irq_cpus;
  engine_options.pool_packets = options_.pool_packets;
  engine_options.frame_size = options_.frame_size;
  Result<std::unique_ptr<Engine>> engine = Engine::create(engine_options);
  if (!engine) return std::unexpected(engine.error());
  engine_ = std::move(*engine);
  return {};
}

Result<void> Session::write(const Assignment& assignment, const std::string& path) {
  const Result<void> written = engine_->write(path, assignment.text);
  if (written) return {};
  return fail(written.error().code, fmt::format("{}: {}", assignment.origin, written.error().text));
}

Result<void> Session::write_core() {
  for (const KernelSetting& setting : kernel_settings()) {
    if (setting.scope != Scope::core && setting.scope != Scope::own) continue;
    const std::string path =
        fmt::format("/proc/sys/net/{}/{}", setting.scope == Scope::core ? "core" : "netrx", setting.name);
    for (const Assignment& assignment : options_.kernel)
      if (assignment.key == setting.name)
        if (const auto ok = write(assignment, path); !ok) return ok;
  }
  return {};
}

Result<void> Session::attach(const std::string& spec) {
  Result<std::unique_ptr<NetDevice>> device = device_catalog(reading_).open(spec);
  if (!device) return fail(device.error().code, fmt::format("--dev {}: {}", spec, device.error().text));
  sinks_.know(**device);
  if (const auto attached = engine_->attach(std::move(*device)); !attached)
    return fail(attached.error().code, fmt::format("--dev {}: {}", spec, attached.error().text));
  return {};
}

Result<void> Session::write_device(const DeviceStats& device) {
  const std::string folder = "/sys/class/net/" + device.name;
  for (const KernelSetting& setting : kernel_settings()) {
    for (const Assignment& assignment : options_.kernel) {
      const bool of_devices = setting.scope == Scope::device || setting.scope == Scope::queue;
      if (assignment.key != setting.name || !of_devices) continue;
      const std::size_t places = setting.scope == Scope::queue ? device.queues.size() : 1;
      for (std::size_t i = 0; i < places; ++i) {
        const std::string queue = setting.scope == Scope::queue ? fmt::format("/queues/rx-{}", i) : std::string();
        if (const auto ok = write(assignment, fmt::format("{}{}/{}", folder, queue, setting.name)); !ok) return ok;
      }
    }
  }
  return {};
}

Result<void> Session::connect() {
  if (options_.app.threads != 0) {
    apps_ = std::make_unique<Apps>(*engine_, flows_, options_.app, cpus_);
    // Only with applications does RFS move flows, and only then is there more to know than where packets end.
    if (flows_.enabled()) engine_->set_tracer(&flows_);
  }
  const auto is_on = [this](const char* path) {
    const Result<std::string> value = engine_->read(path);
    return value && value->starts_with('1');
  };
  flows_.set_map_in_order(is_on("/proc/sys/net/netrx/rps_map_in_order"));
  flows_.set_gro_in_order(is_on("/proc/sys/net/netrx/gro_in_order"));
  const DeviceCatalog catalog = device_catalog();
  for (const std::string& text : options_.sinks)
    if (const auto opened = sinks_.open(text, catalog, cpus_); !opened)
      return fail(opened.error().code, fmt::format("--sink {}: {}", text, opened.error().text));
  for (const Sinks::Route& route : sinks_.routes())
    if (const auto added = add_inlet(&route.egress, route.from); !added)
      return fail(added.error().code, fmt::format("--sink {}: {}", route.text, added.error().text));
  if (sinks_.take_everything()) return {};
  return add_inlet(apps_ ? &apps_->handler() : nullptr, {});
}

Result<void> Session::add_inlet(PacketHandler* next, std::string_view device) {
  inlets_.push_back(std::make_unique<Inlet>(flows_, cpus_.back() + 1u, next));
  return engine_->add_handler(kEthPAll, *inlets_.back(), device);
}

Result<void> Session::start() {
  ThreadOptions threads;
  threads.idle = options_.idle;
  threads.spin = options_.spin;
  executor_.emplace(*engine_, threads);
  if (const auto started = executor_->start(); !started) return started;
  if (apps_ != nullptr) apps_->start();
  return {};
}

void Session::stop() {
  if (!executor_) return;
  executor_->stop();
  executor_.reset();
  if (apps_ != nullptr) apps_->stop();
  sinks_.settle(*engine_);
}

}  // namespace netrx::cli
