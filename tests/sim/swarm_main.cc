// SPDX-License-Identifier: Apache-2.0
// netrx_swarm: the engine in virtual time under a judge, one configuration and one interleaving a seed.

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "world.h"

namespace {

using namespace netrx;
using namespace netrx::simtest;

struct Options {
  std::uint64_t first = 1;
  std::uint64_t seeds = 100;
  bool single = false;
  bool verbose = false;
  bool json = false;
  bool keep_going = false;
};

constexpr const char* kHelp =
    R"(netrx_swarm: runs the engine in virtual time, one configuration and one interleaving a seed

  --seeds N       how many seeds (100)
  --first S       the first of them (1)
  --seed S        only this one
  --verbose       every event of every run
  --keep-going    go on after a failure
  --json          one object at the end instead of words
)";

std::uint64_t running_seed = 0;  // for the handler of a crash, which can be told in no other way

/// A broken invariant aborts in the middle of a run: say which one, with async-signal-safe calls only.
void on_crash(int signal) {
  char text[128];
  const int length = std::snprintf(
      text, sizeof text, "\nseed %llu: invariant: the run crashed with signal %d\n  ./dev sim --seed %llu\n",
      static_cast<unsigned long long>(running_seed), signal, static_cast<unsigned long long>(running_seed));
  [[maybe_unused]] const ssize_t written = write(2, text, static_cast<std::size_t>(length));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

[[noreturn]] void usage(const std::string& complaint) {
  std::fprintf(stderr, "netrx_swarm: %s\n%s", complaint.c_str(), kHelp);
  std::exit(2);
}

std::uint64_t parse_number(std::string_view name, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    usage(std::string(name) + " " + std::string(text) + ": not a whole number");
  return value;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const auto value = [&]() -> std::uint64_t {
      if (i + 1 == argc) usage(std::string(name) + " needs a number");
      return parse_number(name, argv[++i]);
    };
    if (name == "--seeds")
      options.seeds = value();
    else if (name == "--first")
      options.first = value();
    else if (name == "--seed")
      options.first = value(), options.single = true;
    else if (name == "--verbose")
      options.verbose = true;
    else if (name == "--json")
      options.json = true;
    else if (name == "--keep-going")
      options.keep_going = true;
    else if (name == "--help" || name == "-h")
      std::fputs(kHelp, stdout), std::exit(0);
    else
      usage("no option " + std::string(name));
  }
  if (options.single) options.seeds = 1;
  return options;
}

void show_failure(std::uint64_t seed, const Plan& plan, const Report& report) {
  std::printf(
      "\nseed %llu FAILED\n  %s\n\nthe last events:\n%s\nthe run:\n%s\nreplay it with\n  ./dev sim --seed %llu\n\n",
      static_cast<unsigned long long>(seed), report.why.c_str(), report.events.c_str(), plan.describe().c_str(),
      static_cast<unsigned long long>(seed));
}

struct Totals {
  std::uint64_t runs = 0, failed = 0, steps = 0, received = 0, delivered = 0, merged = 0, dropped = 0;
  std::uint64_t digest = 0;
  std::string first_why;
  std::uint64_t first_seed = 0;
};

void print_totals(const Options& options, const Totals& totals) {
  const auto n = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  if (options.json) {
    std::printf(
        "{\"seeds\": %llu, \"failed\": %llu, \"steps\": %llu, \"received\": %llu, \"delivered\": %llu, "
        "\"merged\": %llu, \"dropped\": %llu, \"digest\": \"%016llx\", \"first_failed_seed\": %llu, \"first_failure\": "
        "\"%s\"}\n",
        n(totals.runs), n(totals.failed), n(totals.steps), n(totals.received), n(totals.delivered), n(totals.merged),
        n(totals.dropped), n(totals.digest), n(totals.first_seed), totals.first_why.c_str());
    return;
  }
  std::printf(
      "%llu seeds, %llu failed: %llu steps, %llu packets received = %llu delivered + %llu merged + %llu dropped, "
      "digest %016llx\n",
      n(totals.runs), n(totals.failed), n(totals.steps), n(totals.received), n(totals.delivered), n(totals.merged),
      n(totals.dropped), n(totals.digest));
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  for (const int signal : {SIGABRT, SIGSEGV}) std::signal(signal, on_crash);
  Totals totals;
  auto last_progress = std::chrono::steady_clock::now();
  for (std::uint64_t seed = options.first; seed < options.first + options.seeds; ++seed) {
    running_seed = seed;
    const Plan plan = draw_plan(seed);
    if (options.verbose) std::printf("seed %llu\n%s", static_cast<unsigned long long>(seed), plan.describe().c_str());
    const Report report = run_plan(plan, options.verbose);
    ++totals.runs;
    totals.steps += report.steps;
    totals.received += report.received;
    totals.delivered += report.delivered;
    totals.merged += report.merged;
    totals.dropped += report.dropped;
    totals.digest = totals.digest * 31 + report.digest;
    if (!report.ok) {
      if (totals.failed++ == 0) totals.first_why = report.why, totals.first_seed = seed;
      if (!options.json) show_failure(seed, plan, report);
      if (!options.keep_going) break;
    }
    const auto now = std::chrono::steady_clock::now();
    if (now - last_progress > std::chrono::seconds(2)) {
      last_progress = now;
      std::fprintf(stderr, "%s%llu of %llu seeds%s", isatty(2) ? "\r" : "",
                   static_cast<unsigned long long>(totals.runs), static_cast<unsigned long long>(options.seeds),
                   isatty(2) ? "" : "\n");
    }
  }
  if (isatty(2)) std::fputs("\n", stderr);
  print_totals(options, totals);
  return totals.failed == 0 ? 0 : 1;
}
