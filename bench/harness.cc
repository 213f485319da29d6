// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "report.h"

namespace netrx::bench {

namespace {

/// The value below which `share` of the values lie.
double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const double at = share * static_cast<double>(values.size() - 1);
  const std::size_t low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (values[high] - values[low]) * (at - static_cast<double>(low));
}

double speed_ratio(Unit unit, double ours, double peer) { return unit == Unit::ns ? peer / ours : ours / peer; }

}  // namespace

/// The runs that counted, by pairs.
struct Harness::Pairs {
  std::vector<double> ours, peer, ratios;
  std::uint64_t checksum = 0;
  bool same_work = true;
  bool any = false;

  void add(const Case& what, const Trial& our_trial, const Trial& peer_trial) {
    note(our_trial.checksum);
    ours.push_back(our_trial.value);
    if (!what.peer) return;
    note(peer_trial.checksum);
    peer.push_back(peer_trial.value);
    ratios.push_back(speed_ratio(what.unit, our_trial.value, peer_trial.value));
  }

 private:
  void note(std::uint64_t sum) {
    if (any && sum != checksum) same_work = false;
    checksum = sum;
    any = true;
  }
};

bool Harness::take(const Case& what, Trial& trial, const std::function<Trial()>& side) {
  if (watchdog_ != nullptr) watchdog_->feed();
  trial = side();
  if (trial.problem.empty()) return trial.preemptions == 0 || options_.anyhow;
  const std::string problem = what.name + ": " + trial.problem;
  if (problems_.empty() || problems_.back() != problem) problems_.push_back(problem);
  return false;
}

void Harness::run(const Case& what) {
  if (!wants(what.name)) return;
  if (what.two_cpus && !cpus_.both()) {
    std::printf("%-34s needs two CPUs\n", what.name.c_str());
    return;
  }
  std::array<Pairs, kPlacements> found;
  const std::int64_t end = now_ns() + static_cast<std::int64_t>(options_.seconds * 1e9);
  Trial warm_up;  // of caches and predictors
  take(what, warm_up, what.ours);
  if (what.peer) take(what, warm_up, what.peer);

  double probe = what.two_cpus ? cpus_.probe_ns() : 0;
  const auto measure = [&](const std::function<Trial()>& side, Trial& trial) {
    if (!take(what, trial, side)) return Placement::discarded;
    if (!what.two_cpus) return Placement::single;
    const double before = probe;
    probe = cpus_.probe_ns();
    return placement_of(before, probe);
  };
  // Who goes first changes from pair to pair, so that a machine that slows down or speeds up favours neither.
  for (unsigned i = 0; i < 10 * options_.runs && now_ns() < end; ++i) {
    Trial ours, peer;
    const bool ours_first = i % 2 == 0 || !what.peer;
    const Placement first = ours_first ? measure(what.ours, ours) : measure(what.peer, peer);
    Placement second = first;
    if (what.peer) second = ours_first ? measure(what.peer, peer) : measure(what.ours, ours);
    if (first == Placement::discarded || second == Placement::discarded) continue;
    const Placement both = first == second ? first : Placement::unclear;
    if (both == Placement::unclear && !options_.anyhow) continue;
    Pairs& pairs = found[static_cast<std::size_t>(both)];
    pairs.add(what, ours, peer);
    if (pairs.ours.size() == options_.runs) break;
  }
  const std::size_t before = rows_.size();
  for (std::size_t i = 0; i < kPlacements; ++i) add_row(what, static_cast<Placement>(i), found[i]);
  if (rows_.size() == before) std::printf("%-34s no pair of runs was left undisturbed\n", what.name.c_str());
}

void Harness::add_row(const Case& what, Placement placement, const Pairs& pairs) {
  if (pairs.ours.empty()) return;
  rows_.push_back({.name = what.name,
                   .ours = quantile(pairs.ours, 0.5),
                   .peer = quantile(pairs.peer, 0.5),
                   .unit = what.unit,
                   .ratio = quantile(pairs.ratios, 0.5),
                   .target = what.target,
                   .spread_low = quantile(pairs.ratios, 0.25),
                   .spread_high = quantile(pairs.ratios, 0.75),
                   .runs = pairs.ours.size(),
                   .placement = placement,
                   .checksum = pairs.checksum,
                   .same_work = pairs.same_work});
  if (!pairs.same_work) problems_.push_back(what.name + ": ours and the peer did different work");
  print_row(rows_.back());
}

}  // namespace netrx::bench
