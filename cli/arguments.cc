// SPDX-License-Identifier: Apache-2.0
#include "arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <deque>

#include "config_file.h"
#include "units.h"

namespace netrx::cli {

namespace {

/// CLI11's view of the options: each collects its texts.
class CommandLine {
 public:
  CommandLine() {
    app_.allow_extras();
    app_.set_help_flag();
    app_.add_option("--config", config_)->type_name("FILE");
    for (const OptionGroup& group : run_option_groups())
      for (const OptionSpec& spec : group.options) add(spec);
  }

  Result<void> parse(std::span<const std::string> arguments) {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    try {
      app_.parse(reversed);
    } catch (const CLI::Error& error) {
      return fail(EINVAL, fmt::format("{} (EINVAL: Invalid argument); see `netrx run --help`", error.what()));
    }
    if (const std::vector<std::string> extras = app_.remaining(); !extras.empty()) return unknown(extras.front());
    return {};
  }

  const std::string& config() const { return config_; }

  /// What was given, in the order of the option table.
  std::vector<GivenOption> given() const {
    std::vector<GivenOption> given;
    for (const Collected& one : collected_) {
      if (one.option->count() == 0) continue;
      if (one.spec->value.empty()) {
        given.push_back({one.spec, "on", fmt::format("--{}", one.spec->name)});
        continue;
      }
      if (one.texts.empty()) given.push_back({one.spec, "", fmt::format("--{}", one.spec->name)});
      for (const std::string& text : one.texts)
        given.push_back({one.spec, text, fmt::format("--{} {}", one.spec->name, text)});
    }
    return given;
  }

 private:
  struct Collected {
    const OptionSpec* spec;
    CLI::Option* option = nullptr;
    std::vector<std::string> texts{};
  };

  void add(const OptionSpec& spec) {
    Collected& one = collected_.emplace_back(Collected{&spec});
    const std::string name = "--" + std::string(spec.name);
    if (spec.value.empty()) {
      one.option = app_.add_flag(name);
      return;
    }
    one.option = app_.add_option(name, one.texts)->type_name(std::string(spec.value))->allow_extra_args(false);
    if (spec.value.front() == '[')
      one.option->expected(0, 1);
    else
      one.option->type_size(1)->multi_option_policy(spec.repeatable ? CLI::MultiOptionPolicy::TakeAll
                                                                    : CLI::MultiOptionPolicy::TakeLast);
  }

  static std::unexpected<Error> unknown(const std::string& word) {
    if (!word.starts_with("--"))
      return fail(EINVAL, fmt::format("{}: an argument without a name (EINVAL: Invalid argument); a device is --dev {}",
                                      word, word));
    const std::string name = word.substr(2, word.find('=') - 2);
    std::vector<std::string> names = option_names();
    names.insert(names.end(), {"config", "help"});
    const std::string guess = nearest(name, names);
    return fail(EINVAL, fmt::format("--{}: no such option (EINVAL: Invalid argument){}", name,
                                    guess.empty() ? "; see `netrx run --help`" : "; did you mean --" + guess + "?"));
  }

  CLI::App app_;
  std::string config_;
  std::deque<Collected> collected_;
};

/// What the file says and the command line does not; lists (`dev`, `set`) are replaced as a whole.
void add_unless_given(std::vector<GivenOption>& given, const std::vector<GivenOption>& more) {
  const std::size_t from_command_line = given.size();
  for (const GivenOption& one : more) {
    const auto end = given.begin() + static_cast<std::ptrdiff_t>(from_command_line);
    const bool overridden = std::any_of(given.begin(), end, [&](const GivenOption& g) { return g.spec == one.spec; });
    if (!overridden) given.push_back(one);
  }
}

}  // namespace

Result<RunOptions> parse_run_arguments(std::span<const std::string> arguments) {
  CommandLine command_line;
  if (const auto ok = command_line.parse(arguments); !ok) return std::unexpected(ok.error());
  std::vector<GivenOption> given = command_line.given();
  if (!command_line.config().empty()) {
    const Result<std::vector<GivenOption>> file = read_config_file(command_line.config());
    if (!file) return std::unexpected(file.error());
    add_unless_given(given, *file);
  }
  return make_run_options(given);
}

namespace {

constexpr std::string_view kIntroduction = R"(usage: netrx run --dev SPEC [options]

Runs the receive path: packets from the devices travel NAPI, GRO stage, RPS/RFS and per-CPU backlogs to their delivery,
live on this machine's CPUs. Ends when the devices are exhausted, with a table of what happened on which CPU.
)";

constexpr std::string_view kEnding = R"(
TIME is a number with a unit (ns, us, ms, s, m); N may end in k or M where it is not a kernel setting. Kernel settings
take what the kernel's files take and are refused as there. An option given twice counts as given last; --dev and --set
add up.

Examples
  netrx run --dev pcap:samples/mixed.pcap                        packets stay where they are polled
  netrx run --dev pcap:samples/mixed.pcap --cpus 0-1 --rps-cpus 3       RPS over CPUs 0 and 1
  netrx run --dev pcap:samples/mixed.pcap,loop=20,rate=100k --rps-cpus 3 --rps-flow-cnt 4096
            --rps-sock-flow-entries 32768 --app-threads 2 --app-migrate 500ms      RFS follows the applications
  netrx run --dev gen:flows=1024,count=1M --rps-cpus 2 --json result.json
  netrx run --config demo.toml --rps-cpus 1                      a file, and one key otherwise

Exit code
  0  every check holds         1  a check failed, or the run stalled         2  bad usage, configuration or input
  130, 143  ended by Ctrl-C or SIGTERM, with the table; every check holds
)";

}  // namespace

std::string run_help() {
  std::string text(kIntroduction);
  for (const OptionGroup& group : run_option_groups()) {
    text += fmt::format("\n{}\n", group.title);
    for (const OptionSpec& spec : group.options) {
      const std::string left = fmt::format("--{} {}", spec.name, spec.value);
      text += fmt::format("  {:<31} {}\n", left, spec.help);
    }
  }
  text += "\nConfiguration file\n";
  text += fmt::format("  {:<31} {}\n", "--config FILE.toml",
                      "the same options as keys, e.g. rps-cpus = \"3\"; the command line wins");
  text += fmt::format("  {:<31} {}\n", "--help, -h", "this text");
  text += kEnding;
  return text;
}

}  // namespace netrx::cli
