// SPDX-License-Identifier: Apache-2.0
#include "json_report.h"

#include <nlohmann/json.hpp>

namespace netrx::cli {

namespace {

using Json = nlohmann::ordered_json;

Json cpu_json(const CpuStats& cpu) {
  Json drops = Json::object();
  for (std::size_t i = 0; i < kDropReasons; ++i) drops[std::string(name(static_cast<DropReason>(i)))] = cpu.drops[i];
  Json rules = Json::object();
  for (std::size_t i = 0; i < cpu.rules.size(); ++i) rules[name(static_cast<RpsRule>(i))] = cpu.rules[i];
  Json refusals = Json::object();
  for (std::size_t i = 1; i < kGroRefusals; ++i)
    refusals[std::string(name(static_cast<GroRefusal>(i)))] = cpu.gro_refusals[i];
  Json sent_to = Json::object();
  for (std::size_t i = 0; i < cpu.sent_to.size(); ++i)
    if (cpu.sent_to[i] != 0) sent_to[std::to_string(i)] = cpu.sent_to[i];
  return {{"cpu", cpu.cpu},
          {"online", cpu.online},
          {"processed", cpu.processed},
          {"dropped", cpu.dropped},
          {"time_squeeze", cpu.time_squeeze},
          {"received_rps", cpu.received_rps},
          {"flow_limit_count", cpu.flow_limit_count},
          {"input_queue_len", cpu.input_queue_len},
          {"process_queue_len", cpu.process_queue_len},
          {"received", cpu.received},
          {"delivered", cpu.delivered},
          {"merged", cpu.merged},
          {"backlogged", cpu.backlogged},
          {"steered_in", cpu.steered_in},
          {"doorbells", cpu.doorbells},
          {"wakeups", cpu.wakeups},
          {"softirqs", cpu.softirqs},
          {"ksoftirqd", cpu.ksoftirqd},
          {"polls", cpu.polls},
          {"empty_polls", cpu.empty_polls},
          {"drops", drops},
          {"rules", rules},
          {"gro_refusals", refusals},
          {"sent_to", sent_to},
          {"delay_p50_ns", cpu.delay_p50_ns},
          {"delay_p99_ns", cpu.delay_p99_ns},
          {"delay_max_ns", cpu.delay_max_ns}};
}

Json device_json(const DeviceStats& device) {
  Json queues = Json::array();
  for (const QueueStats& queue : device.queues)
    queues.push_back({{"rx_packets", queue.rx_packets},
                      {"rx_bytes", queue.rx_bytes},
                      {"rx_missed_errors", queue.rx_missed_errors},
                      {"rx_length_errors", queue.rx_length_errors},
                      {"rx_frame_errors", queue.rx_frame_errors},
                      {"rx_alloc_fail", queue.rx_alloc_fail}});
  return {{"name", device.name},
          {"running", device.running},
          {"rx_dropped", device.rx_dropped},
          {"rx_nohandler", device.rx_nohandler},
          {"remark", device.remark},
          {"queues", queues}};
}

Json sinks_json(const Outcome& outcome) {
  Json all = Json::array();
  for (const SinkStats& sink : outcome.sinks) {
    Json queues = Json::array();
    for (const SinkStats::Queue& queue : sink.queues)
      queues.push_back({{"tx_packets", queue.tx_packets},
                        {"tx_bytes", queue.tx_bytes},
                        {"tx_errors", queue.tx_errors},
                        {"tx_busy", queue.tx_busy}});
    all.push_back({{"name", sink.name},
                   {"packets", sink.egress.packets},
                   {"whole", sink.egress.whole},
                   {"cut", sink.egress.cut},
                   {"segments", sink.egress.segments},
                   {"segments_lost", sink.egress.segments_lost},
                   {"dropped", sink.egress.dropped},
                   {"remark", sink.remark},
                   {"queues", queues}});
  }
  return all;
}

Json order_json(const OrderCount& order) {
  return {{"checked", order.checked},     {"unchecked", order.unchecked},
          {"late", order.late},           {"late_moving", order.late_moving},
          {"late_held", order.late_held}, {"repeated", order.repeated},
          {"first", order.first}};
}

Json conservation_json(const Conservation& sum) {
  return {{"received", sum.received},       {"delivered", sum.delivered}, {"merged", sum.merged},
          {"dropped", sum.dropped},         {"held", sum.held},           {"held_frags", sum.held_frags},
          {"packets_out", sum.packets_out}, {"holds", sum.holds()}};
}

Json applications_json(const Outcome& outcome) {
  Json all = Json::array();
  for (const AppStats& app : outcome.apps)
    all.push_back({{"app", app.app},
                   {"cpu", app.cpu},
                   {"moves", app.moves},
                   {"received", app.received},
                   {"on_its_cpu", app.on_its_cpu},
                   {"left", app.left}});
  return all;
}

Json settings_json(const Engine& engine) {
  Json settings = Json::object();
  for (const std::string& path : engine.settings())
    if (const Result<std::string> value = engine.read(path)) settings[path] = value->substr(0, value->find('\n'));
  return settings;
}

}  // namespace

std::string json_report(const Outcome& outcome, const Engine& engine) {
  Json cpus = Json::array();
  for (const CpuStats& cpu : outcome.stats.cpus) cpus.push_back(cpu_json(cpu));
  Json devices = Json::array();
  for (const DeviceStats& device : outcome.stats.devices) devices.push_back(device_json(device));
  Json checks = Json::array();
  for (const Check& check : outcome.checks)
    checks.push_back({{"name", check.name}, {"holds", check.holds}, {"text", check.text}});

  const Json all{{"schema", "netrx.run/1"},
                 {"version", NETRX_VERSION},
                 {"ended", name(outcome.ended)},
                 {"signal", outcome.signal},
                 {"exit_code", outcome.exit_code()},
                 {"ok", outcome.all_hold()},
                 {"wall_ns", outcome.wall.count()},
                 {"busy_ns", outcome.busy.count()},
                 {"packets", outcome.stats.conservation.received},
                 {"bytes", outcome.bytes()},
                 {"packets_per_second", outcome.packets_per_second()},
                 {"delay_p50_ns", outcome.stats.delay_p50_ns},
                 {"delay_p99_ns", outcome.stats.delay_p99_ns},
                 {"cpus", cpus},
                 {"devices", devices},
                 {"sinks", sinks_json(outcome)},
                 {"conservation", conservation_json(outcome.stats.conservation)},
                 {"flows", outcome.flows},
                 {"unprotected_moves", outcome.unprotected_moves},
                 {"order", order_json(outcome.at_delivery)},
                 {"order_at_applications", order_json(outcome.at_consumers)},
                 {"applications", applications_json(outcome)},
                 {"left_with_applications", outcome.left_with_apps()},
                 {"checks", checks},
                 {"settings", settings_json(engine)},
                 {"softnet_stat", outcome.softnet_stat}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace netrx::cli
