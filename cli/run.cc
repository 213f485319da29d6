// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>

#include "arguments.h"
#include "commands.h"
#include "json_report.h"
#include "outcome.h"
#include "progress.h"
#include "report.h"
#include "session.h"
#include "signals.h"
#include "units.h"
#include "watch.h"

namespace netrx::cli {

namespace {

/// A file that is opened before the run, so that a bad name costs nothing.
class OutputFile {
 public:
  OutputFile() = default;
  ~OutputFile() {
    if (file_ != nullptr) std::fclose(file_);
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  Result<void> open(const std::string& path) {
    path_ = path;
    file_ = std::fopen(path.c_str(), "w");
    if (file_ == nullptr) return fail(errno, fmt::format("--json {}: can't be written", path));
    return {};
  }
  Result<void> write(const std::string& text) {
    const bool written = std::fwrite(text.data(), 1, text.size(), file_) == text.size() && std::fflush(file_) == 0;
    if (!written) return fail(errno, fmt::format("--json {}: can't be written", path_));
    return {};
  }

 private:
  std::string path_;
  std::FILE* file_ = nullptr;
};

Result<void> print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return {};
  return fail(errno, "stdout: can't be written");
}

Result<void> list_settings(const Engine& engine) {
  std::string text;
  for (const std::string& path : engine.settings())
    if (const Result<std::string> value = engine.read(path))
      text += fmt::format("{} = {}\n", path, value->substr(0, value->find('\n')));
  return print(text);
}

Result<void> publish(const Outcome& outcome, Session& session, OutputFile& json_file) {
  const RunOptions& options = session.options();
  if (!options.json.empty()) {
    const std::string json = json_report(outcome, session.engine());
    const Result<void> written = options.json == "-" ? print(json) : json_file.write(json);
    if (!written || options.json == "-") return written;
  }
  if (options.softnet_stat) return print(outcome.softnet_stat);
  if (options.quiet) {
    for (const Check& check : outcome.checks)
      if (!check.holds) fmt::print(stderr, "netrx: check failed: {}: {}\n", check.name, check.text);
    return {};
  }
  return print(report(outcome, isatty(STDOUT_FILENO) == 1, options.gro_reasons));
}

Result<Outcome> run_to_the_end(Session& session, Progress& progress) {
  using Clock = std::chrono::steady_clock;
  Signals signals;
  const Clock::time_point began = Clock::now();
  if (const auto started = session.start(); !started) return std::unexpected(started.error());
  Ending ending = watch(session, signals, progress);
  const Nanos wall = Clock::now() - began;
  progress.end();
  session.stop();
  Outcome outcome = conclude(session, ending.ended, ending.signal, std::move(ending.trouble));
  outcome.wall = wall;
  return outcome;
}

}  // namespace

int run(std::span<const std::string> arguments) {
  for (const std::string& argument : arguments)
    if (argument == "--help" || argument == "-h") return print(run_help()) ? 0 : 2;
  const Result<RunOptions> options = parse_run_arguments(arguments);
  if (!options) return refuse(full_text(options.error()));
  Progress progress(options->progress, options->quiet);
  const Result<std::unique_ptr<Session>> session =
      Session::open(*options, [&](std::uint64_t bytes, std::uint64_t total) { progress.reading(bytes, total); });
  progress.end();
  if (!session) return refuse(full_text(session.error()));
  if (options->list_settings) {
    const Result<void> listed = list_settings((*session)->engine());
    return listed ? 0 : refuse(full_text(listed.error()));
  }
  OutputFile json_file;
  if (!options->json.empty() && options->json != "-")
    if (const auto opened = json_file.open(options->json); !opened) return refuse(full_text(opened.error()));

  const Result<Outcome> outcome = run_to_the_end(**session, progress);
  if (!outcome) return refuse(full_text(outcome.error()));
  if (const auto published = publish(*outcome, **session, json_file); !published)
    return refuse(full_text(published.error()));
  return outcome->exit_code();
}

}  // namespace netrx::cli
