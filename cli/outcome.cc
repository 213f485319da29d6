// SPDX-License-Identifier: Apache-2.0
#include "outcome.h"

#include <fmt/format.h>

#include <algorithm>

#include "units.h"

namespace netrx::cli {

std::string_view name(Ended ended) {
  switch (ended) {
    case Ended::exhausted: return "exhausted";
    case Ended::duration: return "duration";
    case Ended::interrupted: return "interrupted";
    case Ended::stalled: return "stalled";
  }
  return "?";
}

std::uint64_t Outcome::bytes() const {
  std::uint64_t sum = 0;
  for (const DeviceStats& device : stats.devices)
    for (const QueueStats& queue : device.queues) sum += queue.rx_bytes;
  return sum;
}

std::uint64_t Outcome::received_by_apps() const {
  std::uint64_t sum = 0;
  for (const AppStats& app : apps) sum += app.received;
  return sum;
}

std::uint64_t Outcome::left_with_apps() const {
  std::uint64_t sum = 0;
  for (const AppStats& app : apps) sum += app.left;
  return sum;
}

double Outcome::packets_per_second() const {
  const double seconds = std::chrono::duration<double>(busy).count();
  const auto packets = static_cast<double>(stats.conservation.delivered + stats.conservation.merged);
  return seconds > 0 ? packets / seconds : 0;
}

bool Outcome::all_hold() const {
  return std::all_of(checks.begin(), checks.end(), [](const Check& check) { return check.holds; });
}

int Outcome::exit_code() const {
  if (!all_hold()) return 1;
  return ended == Ended::interrupted ? 128 + signal : 0;
}

namespace {

Check conservation(const EngineStats& stats) {
  const Conservation& sum = stats.conservation;
  return {"conservation", sum.holds(),
          fmt::format("{} received {} {} delivered + {} merged + {} dropped + {} held", grouped(sum.received),
                      sum.holds() ? "=" : "≠", grouped(sum.delivered), grouped(sum.merged), grouped(sum.dropped),
                      grouped(sum.held))};
}

/// What devices say they gave is what the path says it took.
Check devices(const EngineStats& stats) {
  std::uint64_t given = 0;
  for (const DeviceStats& device : stats.devices)
    for (const QueueStats& queue : device.queues) given += queue.rx_packets;
  return {"devices", given == stats.conservation.received,
          fmt::format("{} given by devices, {} received", grouped(given), grouped(stats.conservation.received))};
}

Check pools(const EngineStats& stats) {
  const Conservation& sum = stats.conservation;
  return {"pools", sum.packets_out == sum.held + sum.held_frags,
          fmt::format("{} packets away from their pools, {} of them held", grouped(sum.packets_out),
                      grouped(sum.held + sum.held_frags))};
}

Check order(const std::string& name, const OrderCount& count, std::uint64_t flows) {
  const bool holds = count.late == 0 && count.repeated == 0;
  std::string text =
      fmt::format("{} packets of {} flows, {} late", grouped(count.checked), grouped(flows), grouped(count.late));
  if (count.repeated != 0) text += fmt::format(", {} twice", grouped(count.repeated));
  if (count.late_moving != 0)
    text +=
        fmt::format("; {} more around moves between RPS and RFS, which the kernel allows", grouped(count.late_moving));
  if (count.late_held != 0)
    text += fmt::format("; {} more that GRO held while it let others by, as the kernel does (--gro-in-order 1)",
                        grouped(count.late_held));
  if (count.unchecked != 0)
    text += fmt::format("; {} not checked, the table is full (--order-flows)", grouped(count.unchecked));
  if (!count.first.empty()) text += "; first: " + count.first;
  return {name, holds, text};
}

Check consumers(const Outcome& outcome) {
  const std::uint64_t taken = outcome.received_by_apps(), left = outcome.left_with_apps();
  const std::uint64_t delivered = outcome.stats.conservation.delivered;
  return {"applications", taken + left == delivered,
          fmt::format("{} delivered = {} received by them + {} left in their queues", grouped(delivered),
                      grouped(taken), grouped(left))};
}

/// What was handed to a sink is what its device was given, in one piece or in several, and what was dropped.
Check egress(const SinkStats& sink) {
  const EgressStats& sum = sink.egress;
  const bool holds = sum.packets == sum.whole + sum.cut + sum.dropped && sink.tx_packets == sum.whole + sum.segments;
  std::string text =
      fmt::format("{} for {} = {} sent as they were", grouped(sum.packets), sink.name, grouped(sum.whole));
  if (sum.cut != 0) text += fmt::format(" + {} cut into {}", grouped(sum.cut), grouped(sum.segments));
  if (sum.segments_lost != 0) text += fmt::format(" (and {} lost)", grouped(sum.segments_lost));
  if (sum.dropped != 0) text += fmt::format(" + {} dropped", grouped(sum.dropped));
  return {"sink", holds, text};
}

void judge(Outcome& outcome, const Session& session) {
  outcome.checks.push_back(conservation(outcome.stats));
  outcome.checks.push_back(devices(outcome.stats));
  outcome.checks.push_back(pools(outcome.stats));
  if (session.flows().enabled()) outcome.checks.push_back(order("order", outcome.at_delivery, outcome.flows));
  if (session.apps() != nullptr) {
    outcome.checks.push_back(consumers(outcome));
    if (session.flows().enabled())
      outcome.checks.push_back(order("order at applications", outcome.at_consumers, outcome.flows));
    const std::string trouble = session.apps()->trouble();
    if (!trouble.empty()) outcome.checks.push_back({"pinning", false, trouble});
  }
  for (const SinkStats& sink : outcome.sinks) outcome.checks.push_back(egress(sink));
  if (outcome.ended == Ended::stalled) outcome.checks.push_back({"progress", false, outcome.trouble});
}

}  // namespace

Outcome conclude(Session& session, Ended ended, int signal, std::string trouble) {
  Outcome outcome;
  outcome.ended = ended;
  outcome.signal = signal;
  outcome.trouble = std::move(trouble);
  outcome.busy = Inlet::busy_time(session.inlets());
  outcome.stats = session.engine().stats();
  outcome.softnet_stat = session.engine().softnet_stat();
  outcome.flows = session.flows().flows();
  outcome.unprotected_moves = session.flows().unprotected_moves();
  if (session.apps() != nullptr) outcome.apps = session.apps()->stats();
  outcome.sinks = session.sinks().stats();
  // The check sees every packet that a handler is offered, also those the applications' queues then refuse.
  const std::uint64_t refused = [&] {
    std::uint64_t sum = 0;
    for (const CpuStats& cpu : outcome.stats.cpus)
      sum += cpu.drops[static_cast<std::size_t>(DropReason::kSocketRcvbuff)];
    return sum;
  }();
  outcome.at_delivery = session.flows().at_delivery(outcome.stats.conservation.delivered + refused);
  outcome.at_consumers = session.flows().at_consumers(outcome.received_by_apps());
  judge(outcome, session);
  return outcome;
}

}  // namespace netrx::cli
