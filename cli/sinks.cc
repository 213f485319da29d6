// SPDX-License-Identifier: Apache-2.0
#include "sinks.h"

#include <fmt/format.h>

#include <algorithm>

namespace netrx::cli {

Result<NetDevice*> Sinks::device_of(const std::string& spec, const DeviceCatalog& catalog, std::size_t queues) {
  if (const auto known = received_.find(spec); known != received_.end()) return known->second;
  auto opened = catalog.open_sink(spec, queues);
  if (!opened) return std::unexpected(opened.error());
  opened_.push_back(std::move(*opened));
  return opened_.back().get();
}

Result<void> Sinks::check_link(std::string_view from, const NetDevice& to) const {
  for (const auto& [name, device] : received_) {
    if (!from.empty() && name != from) continue;
    if (to.has_link_header() && !device->has_link_header())
      return fail(EINVAL, fmt::format("packets of {} have no Ethernet header, and {} needs one; send to a tun device",
                                      name, to.name()));
  }
  return {};
}

Result<void> Sinks::open(const std::string& text, const DeviceCatalog& catalog, std::span<const std::uint16_t> cpus) {
  const std::size_t equals = text.find('=');
  const bool has_from = equals != std::string::npos && equals < text.find(':') && equals < text.find(',');
  const std::string from = has_from ? text.substr(0, equals) : std::string();
  if (has_from && !received_.contains(from)) {
    std::string known;
    for (const auto& [name, device] : received_) known += (known.empty() ? "" : ", ") + name;
    return fail(ENODEV, fmt::format("no device {} is received from; there are {}", from, known));
  }
  const Result<NetDevice*> device = device_of(has_from ? text.substr(equals + 1) : text, catalog, cpus.size());
  if (!device) return std::unexpected(device.error());
  if (const auto ok = check_link(from, **device); !ok) return ok;
  std::unique_ptr<Egress>& egress = egresses_[*device];
  if (egress == nullptr) {
    auto made = Egress::create(**device, cpus);
    if (!made) return std::unexpected(made.error());
    egress = std::move(*made);
  }
  routes_.push_back({text, from, *egress});
  return {};
}

bool Sinks::take_everything() const {
  return std::ranges::any_of(routes_, [](const Route& route) { return route.from.empty(); });
}

void Sinks::settle(Engine& engine) {
  if (egresses_.empty()) return;
  const std::unique_ptr<Application> application = engine.open_application();
  for (const auto& [device, egress] : egresses_) egress->settle(*application);
}

std::vector<SinkStats> Sinks::stats() const {
  std::vector<SinkStats> all;
  for (const auto& [device, egress] : egresses_) {
    SinkStats& sink = all.emplace_back();
    sink.name = device->name();
    sink.egress = egress->stats();
    sink.remark = device->remark();
    for (std::size_t i = 0; i < device->tx_queue_count(); ++i) {
      const TxQueueStats& queue = device->tx_queue(i).stats();
      sink.queues.push_back(
          {queue.tx_packets.load(), queue.tx_bytes.load(), queue.tx_errors.load(), queue.tx_busy.load()});
      sink.tx_packets += queue.tx_packets.load();
    }
  }
  return all;
}

}  // namespace netrx::cli
