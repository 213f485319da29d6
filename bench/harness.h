// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "two_cpus.h"

/// How ours and a peer are compared.
///
/// The machines this runs on change speed from second to second, and a hypervisor moves their CPUs about. So a figure
/// alone means nothing: each case runs ours and the peer in turn, many times, and its ratio is the median over pairs of
/// neighbours. Runs in which another program was let onto a CPU of ours don't count. A case on two CPUs is bracketed by
/// probes of how long a cache line takes between them; runs whose brackets disagree are thrown away, and runs on near
/// and on far CPUs are never mixed. Both sides do the same work and return a checksum of it.
namespace netrx::bench {

struct Options {
  unsigned runs = 40;   ///< pairs a case, on one placement
  double scale = 1;     ///< of the work in one run
  double seconds = 10;  ///< a case takes at most about this long
  bool peers = true;
  bool anyhow = false;  ///< count runs whatever disturbed them, and disturb nobody: for a smoke test
  std::string filter;   ///< only cases whose name contains it
  std::string json;     ///< write rows here
};

/// One timed run of one side.
struct Trial {
  double value = 0;               ///< in the case's unit
  std::uint64_t checksum = 0;     ///< of the work's results
  std::uint64_t preemptions = 0;  ///< by other programs: if any, the run does not count
  std::string problem;            ///< not empty: the run did not do what it should have, and does not count
};

enum class Unit : std::uint8_t {
  ns,           ///< nanoseconds an item; less is better
  mega_items_s  ///< million items a second; more is better
};

/// Something to compare.
struct Case {
  std::string name;
  Unit unit;
  double target;  ///< smallest ratio we want; 0: none, the row only informs
  bool two_cpus;
  std::function<Trial()> ours;
  std::function<Trial()> peer;  ///< null: nothing to compare with
};

/// What the pairs of one case on one placement showed. Ratios are made so that more is better for us: how many times
/// the peer's speed is ours.
struct Row {
  std::string name;
  double ours = 0;  ///< medians
  double peer = 0;  ///< 0: did not run
  Unit unit = Unit::ns;
  double ratio = 0;
  double target = 0;
  double spread_low = 0;  ///< first and third quartile of the pairs' ratios
  double spread_high = 0;
  std::size_t runs = 0;
  Placement placement = Placement::single;
  std::uint64_t checksum = 0;
  bool same_work = true;  ///< every run of both sides had this checksum
};

class Harness {
 public:
  Harness(const Options& options, const TwoCpus& cpus) : options_(options), cpus_(cpus) {}

  const Options& options() const { return options_; }
  const TwoCpus& cpus() const { return cpus_; }

  /// True when the filter wants the case: worth setting it up.
  bool wants(const std::string& name) const { return name.find(options_.filter) != std::string::npos; }

  void run(const Case& what);

  /// Every run feeds `watchdog` from now on.
  void watch_with(Watchdog& watchdog) { watchdog_ = &watchdog; }

  const std::vector<Row>& rows() const { return rows_; }
  /// Work that went wrong: checksums that differ, runs that lost something.
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  struct Pairs;
  void add_row(const Case& what, Placement placement, const Pairs& pairs);
  bool take(const Case& what, Trial& trial, const std::function<Trial()>& side);

  const Options options_;
  const TwoCpus cpus_;
  std::vector<Row> rows_;
  std::vector<std::string> problems_;
  Watchdog* watchdog_ = nullptr;
};

/// Times `work`, which handles `items` items and returns their checksum, on one CPU, in nanoseconds an item.
template <class Work>
Trial timed(std::uint64_t items, Work&& work) {
  Trial trial;
  const std::uint64_t before = preemptions();
  const std::int64_t begin = now_ns();
  trial.checksum = work();
  trial.value = static_cast<double>(now_ns() - begin) / static_cast<double>(items);
  trial.preemptions = preemptions() - before;
  return trial;
}

}  // namespace netrx::bench
