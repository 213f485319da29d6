// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "cases.h"
#include "peers.h"
#include "report.h"

namespace {

using namespace netrx::bench;

constexpr const char* kUsage =
    R"(usage: netrx_bench [options]
Ours against DPDK, as ratios within one run; more is better for us. What is compared: docs/benchmarks.md.
  --quick        under 20 s
  --filter TEXT  only cases whose name contains TEXT
  --runs N       pairs of runs a case (40)
  --no-peers     ours alone
  --json FILE    also write one object a row
  --smoke        as little as still shows that everything works; for the tests
)";

[[noreturn]] void refuse(const std::string& why) {
  std::fprintf(stderr, "netrx_bench: %s\n%s", why.c_str(), kUsage);
  std::exit(2);
}

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view key = argv[i];
    const auto value = [&]() -> const char* {
      if (++i == argc) refuse(std::string(key) + " wants a value");
      return argv[i];
    };
    if (key == "--quick") {
      options.runs = 10;
      options.seconds = 1.5;
    } else if (key == "--smoke") {
      options.runs = 1;
      options.scale = 0.01;
      options.anyhow = true;
      options.seconds = 1;
    } else if (key == "--filter") {
      options.filter = value();
    } else if (key == "--runs") {
      const long runs = std::strtol(value(), nullptr, 10);
      if (runs < 1 || runs > 1000) refuse("--runs " + std::string(argv[i]) + ": give 1 to 1000");
      options.runs = static_cast<unsigned>(runs);
    } else if (key == "--no-peers") {
      options.peers = false;
    } else if (key == "--json") {
      options.json = value();
    } else if (key == "--help" || key == "-h") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    } else {
      refuse(std::string(key) + ": no such option");
    }
  }
  return options;
}

bool save(const Harness& harness) {
  const std::string& path = harness.options().json;
  if (path.empty() || write_json(path, harness.rows())) return true;
  std::fprintf(stderr, "netrx_bench: --json %s: %s\n", path.c_str(), std::strerror(errno));
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  Options options = read_options(argc, argv);
  const TwoCpus cpus;  // before DPDK pins this thread
  if (options.peers) {
    if (const char* problem = peers::start()) {
      std::printf("no peers: %s\n", problem);
      options.peers = false;
    } else {
      std::printf("peers: DPDK %s\n", peers::version());
      if (const char* missing = peers::Toeplitz::missing()) std::printf("no peer for toeplitz: %s\n", missing);
    }
  }
  Harness harness(options, cpus);
  Watchdog watchdog([&] { save(harness); });
  harness.watch_with(watchdog);
  cpus.take_first(!options.anyhow);  // the watchdog's thread stays where it is
  print_head();
  hash_cases(harness);
  gro_cases(harness);
  handoff_case(harness);
  path_cases(harness);

  const bool saved = save(harness);
  for (const std::string& problem : harness.problems()) std::printf("problem: %s\n", problem.c_str());
  if (harness.rows().empty()) std::printf("nothing was measured\n");
  return saved && harness.problems().empty() && !harness.rows().empty() ? 0 : 1;
}
