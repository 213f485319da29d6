// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "table.h"
#include "units.h"

namespace netrx::cli {

namespace {

/// Packets that ended here, and, as in softnet_stat, those that others could not put on this CPU's backlog.
std::uint64_t dropped_at(const CpuStats& cpu) {
  const std::uint64_t by_this = std::accumulate(cpu.drops.begin(), cpu.drops.end(), std::uint64_t{0});
  return by_this - cpu.drops[static_cast<std::size_t>(DropReason::kCpuBacklog)] + cpu.dropped;
}

std::uint64_t sum_of(const EngineStats& stats, std::uint64_t CpuStats::* field) {
  std::uint64_t sum = 0;
  for (const CpuStats& cpu : stats.cpus) sum += cpu.*field;
  return sum;
}

std::string headline(const Outcome& outcome) {
  const auto wall = static_cast<std::uint64_t>(outcome.wall.count());
  std::string text = fmt::format("{} packets, {}B in {}", grouped(outcome.stats.conservation.received),
                                 short_number(static_cast<double>(outcome.bytes())), short_duration(wall));
  if (outcome.busy > Nanos{0})
    text += fmt::format("; {} packets/s delivered over the {} from first to last",
                        short_number(outcome.packets_per_second()),
                        short_duration(static_cast<std::uint64_t>(outcome.busy.count())));
  switch (outcome.ended) {
    case Ended::exhausted: break;
    case Ended::duration: text += "; ended after --duration"; break;
    case Ended::interrupted: text += fmt::format("; ended by {}", outcome.signal == 2 ? "Ctrl-C" : "SIGTERM"); break;
    case Ended::stalled: text += "; STALLED"; break;
  }
  return text + "\n";
}

std::string cpus(const EngineStats& stats, bool bars) {
  const std::uint64_t processed = sum_of(stats, &CpuStats::processed);
  TextTable table({"cpu", "processed", "share", "delivered", "steered in", "doorbells", "wakeups", "time_squeeze",
                   "dropped", "delay p50", "p99", "max"},
                  "l");
  std::uint64_t drops = 0;
  for (const CpuStats& cpu : stats.cpus) {
    drops += dropped_at(cpu);
    std::string share = percent(cpu.processed, processed);
    if (bars) share = fmt::format("{} {}", bar(cpu.processed, processed, 5), share);
    table.row({std::to_string(cpu.cpu) + (cpu.online ? "" : " (offline)"), grouped(cpu.processed), share,
               grouped(cpu.delivered), grouped(cpu.steered_in), grouped(cpu.doorbells), grouped(cpu.wakeups),
               grouped(cpu.time_squeeze), grouped(dropped_at(cpu)), short_duration(cpu.delay_p50_ns),
               short_duration(cpu.delay_p99_ns), short_duration(cpu.delay_max_ns)});
  }
  if (stats.cpus.size() > 1)
    table.row({"all", grouped(processed), "", grouped(sum_of(stats, &CpuStats::delivered)),
               grouped(sum_of(stats, &CpuStats::steered_in)), grouped(sum_of(stats, &CpuStats::doorbells)),
               grouped(sum_of(stats, &CpuStats::wakeups)), grouped(sum_of(stats, &CpuStats::time_squeeze)),
               grouped(drops), short_duration(stats.delay_p50_ns), short_duration(stats.delay_p99_ns), ""});
  return "\n" + table.text();
}

/// Who put packets on whose backlog.
std::string matrix(const EngineStats& stats) {
  std::uint64_t sent = 0;
  for (const CpuStats& cpu : stats.cpus) sent = std::accumulate(cpu.sent_to.begin(), cpu.sent_to.end(), sent);
  if (stats.cpus.size() < 2 || sent == 0) return {};
  std::vector<std::string> heading{"polled on"};
  for (const CpuStats& cpu : stats.cpus) heading.push_back(fmt::format("to cpu {}", cpu.cpu));
  heading.emplace_back("stayed");
  TextTable table(std::move(heading), "l");
  for (const CpuStats& cpu : stats.cpus) {
    const std::uint64_t steered = std::accumulate(cpu.sent_to.begin(), cpu.sent_to.end(), std::uint64_t{0});
    if (cpu.received == 0) continue;
    std::vector<std::string> row{fmt::format("cpu {}", cpu.cpu)};
    for (const CpuStats& to : stats.cpus) row.push_back(grouped(to.cpu < cpu.sent_to.size() ? cpu.sent_to[to.cpu] : 0));
    const std::uint64_t elsewhere = steered + cpu.drops[static_cast<std::size_t>(DropReason::kCpuBacklog)];
    row.push_back(grouped(cpu.received - std::min(cpu.received, elsewhere + cpu.merged)));
    table.row(std::move(row));
  }
  return "\n" + table.text();
}

std::string drops(const EngineStats& stats) {
  TextTable table({"dropped", "packets", "where"}, "lrl");
  bool any = false;
  for (std::size_t reason = 0; reason < kDropReasons; ++reason) {
    const bool backlog = static_cast<DropReason>(reason) == DropReason::kCpuBacklog;
    std::uint64_t sum = 0;
    std::string where;
    for (const CpuStats& cpu : stats.cpus) {
      sum += cpu.drops[reason];
      const std::uint64_t here = backlog ? cpu.dropped : cpu.drops[reason];
      if (here == 0) continue;
      where += fmt::format("{}{} cpu {}: {}", where.empty() ? "" : ", ", backlog ? "backlog of" : "on", cpu.cpu,
                           grouped(here));
    }
    if (sum == 0) continue;
    any = true;
    table.row({std::string(name(static_cast<DropReason>(reason))), grouped(sum), where});
  }
  const std::uint64_t limited = sum_of(stats, &CpuStats::flow_limit_count);
  if (limited != 0) table.row({"(of them by the flow limit)", grouped(limited), ""});
  return any ? "\n" + table.text() : std::string();
}

std::string queues(const EngineStats& stats) {
  TextTable table({"queue", "packets", "bytes", "missed", "length errors", "pool dry"}, "l");
  std::string remarks;
  for (const DeviceStats& device : stats.devices) {
    for (std::size_t i = 0; i < device.queues.size(); ++i) {
      const QueueStats& queue = device.queues[i];
      table.row({fmt::format("{} rx-{}", device.name, i), grouped(queue.rx_packets), grouped(queue.rx_bytes),
                 grouped(queue.rx_missed_errors), grouped(queue.rx_length_errors), grouped(queue.rx_alloc_fail)});
    }
    if (!device.remark.empty()) remarks += fmt::format("  ! {}: {}\n", device.name, device.remark);
  }
  return "\n" + table.text() + remarks;
}

std::string sinks(const Outcome& outcome) {
  if (outcome.sinks.empty()) return {};
  TextTable table({"sent by", "frames", "bytes", "refused", "full"}, "l");
  std::string remarks;
  for (const SinkStats& sink : outcome.sinks) {
    for (std::size_t i = 0; i < sink.queues.size(); ++i) {
      const SinkStats::Queue& queue = sink.queues[i];
      table.row({fmt::format("{} tx-{}", sink.name, i), grouped(queue.tx_packets), grouped(queue.tx_bytes),
                 grouped(queue.tx_errors), grouped(queue.tx_busy)});
    }
    if (!sink.remark.empty()) remarks += fmt::format("  ! {}: {}\n", sink.name, sink.remark);
  }
  return "\n" + table.text() + remarks;
}

std::string rules(const EngineStats& stats) {
  std::array<std::uint64_t, static_cast<std::size_t>(RpsRule::kCount)> counts{};
  for (const CpuStats& cpu : stats.cpus)
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += cpu.rules[i];
  std::string text;
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (counts[i] != 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name(static_cast<RpsRule>(i)), grouped(counts[i]));
  return text.empty() ? text : fmt::format("\n  steering decisions: {}\n", text);
}

std::array<std::uint64_t, kGroRefusals> gro_refusals(const EngineStats& stats) {
  std::array<std::uint64_t, kGroRefusals> counts{};
  for (const CpuStats& cpu : stats.cpus)
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += cpu.gro_refusals[i];
  return counts;
}

/// How much was merged, and why the rest was not.
std::string gro(const EngineStats& stats) {
  const Conservation& sum = stats.conservation;
  const auto counts = gro_refusals(stats);
  std::string reasons;
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (counts[i] != 0)
      reasons +=
          fmt::format("{}{} {}", reasons.empty() ? "" : ", ", name(static_cast<GroRefusal>(i)), grouped(counts[i]));
  if (sum.received == 0 || (sum.merged == 0 && reasons.empty())) return {};
  const double ratio =
      static_cast<double>(sum.received) / static_cast<double>(std::max(sum.received - sum.merged, std::uint64_t{1}));
  return fmt::format("\n  GRO: {} merged into others, {:.2f} segments a packet{}{}\n", grouped(sum.merged), ratio,
                     reasons.empty() ? "" : "; not merged: ", reasons);
}

/// The same, a line a reason, in words.
std::string gro_reasons(const EngineStats& stats) {
  const auto counts = gro_refusals(stats);
  TextTable table({"not merged", "packets", "because"}, "lrl");
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (counts[i] != 0)
      table.row({std::string(name(static_cast<GroRefusal>(i))), grouped(counts[i]),
                 std::string(text(static_cast<GroRefusal>(i)))});
  return "\n" + table.text();
}

std::string applications(const Outcome& outcome) {
  if (outcome.apps.empty()) return {};
  TextTable table({"application", "now on cpu", "moves", "received", "processed on its cpu", "left"}, "l");
  AppStats all;
  for (const AppStats& app : outcome.apps) {
    table.row({std::to_string(app.app), std::to_string(app.cpu), grouped(app.moves), grouped(app.received),
               percent(app.on_its_cpu, app.received), grouped(app.left)});
    all.moves += app.moves;
    all.received += app.received;
    all.on_its_cpu += app.on_its_cpu;
    all.left += app.left;
  }
  if (outcome.apps.size() > 1)
    table.row({"all", "", grouped(all.moves), grouped(all.received), percent(all.on_its_cpu, all.received),
               grouped(all.left)});
  return "\n" + table.text();
}

std::string checks(const Outcome& outcome) {
  std::size_t width = 0;
  for (const Check& check : outcome.checks) width = std::max(width, check.name.size());
  std::string text = "\n";
  for (const Check& check : outcome.checks)
    text += fmt::format("  {} {:<{}}  {}\n", check.holds ? "✓" : "✗", check.name, width, check.text);
  return text;
}

}  // namespace

std::string report(const Outcome& outcome, bool bars, bool reasons) {
  const EngineStats& stats = outcome.stats;
  return headline(outcome) + cpus(stats, bars) + matrix(stats) + queues(stats) + sinks(outcome) + drops(stats) +
         rules(stats) + gro(stats) + (reasons ? gro_reasons(stats) : "") + applications(outcome) + checks(outcome);
}

}  // namespace netrx::cli
