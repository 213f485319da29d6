// SPDX-License-Identifier: Apache-2.0
#include "progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <numeric>

#include "table.h"
#include "units.h"

namespace netrx::cli {

namespace {

constexpr Nanos kLineEvery = std::chrono::seconds(5);
constexpr std::size_t kBar = 8;
constexpr std::size_t kMaxBars = 8;

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 120;
}

}  // namespace

Progress::Progress(ProgressMode mode, bool quiet)
    : terminal_(isatty(STDERR_FILENO) == 1),
      shown_(!quiet && (mode == ProgressMode::on || (mode == ProgressMode::automatic && terminal_))) {}

std::string Progress::line(const EngineStats& stats, const Apps* apps, Nanos elapsed) const {
  std::uint64_t all = 0;
  std::vector<std::uint64_t> done;
  std::uint64_t queued = 0;
  for (std::size_t i = 0; i < stats.cpus.size(); ++i) {
    const CpuStats& cpu = stats.cpus[i];
    done.push_back(cpu.processed - (i < processed_.size() ? processed_[i] : 0));
    all += done.back();
    queued += cpu.input_queue_len + cpu.process_queue_len;
  }
  const double seconds = std::chrono::duration<double>(elapsed - last_).count();
  std::string text = fmt::format("{:5.1f} s {:>7}pps ", std::chrono::duration<double>(elapsed).count(),
                                 short_number(seconds > 0 ? static_cast<double>(all) / seconds : 0));
  for (std::size_t i = 0; i < done.size() && i < kMaxBars; ++i)
    text += fmt::format(" cpu{} {}", stats.cpus[i].cpu, bar(done[i], all, kBar));
  text += fmt::format("  {} in all, {} queued", grouped(stats.conservation.received), grouped(queued));
  if (apps != nullptr) text += fmt::format(", {} at apps", grouped(apps->waiting()));
  if (stats.conservation.dropped != 0) text += fmt::format(", {} dropped", grouped(stats.conservation.dropped));
  return text;
}

void Progress::reading(std::uint64_t bytes, std::uint64_t total) {
  if (!shown_ || !terminal_) return;
  fmt::print(stderr, "\r\033[Kreading the capture: {}B, {}", short_number(static_cast<double>(bytes)),
             percent(bytes, total));
  std::fflush(stderr);
  dirty_ = true;
}

void Progress::show(const EngineStats& stats, const Apps* apps, Nanos elapsed) {
  if (!shown_ || (!terminal_ && elapsed - last_ < kLineEvery)) return;
  const std::string text = line(stats, apps, elapsed);
  if (terminal_)
    fmt::print(stderr, "\r\033[K{}", first_columns(text, terminal_width() - 1));
  else
    fmt::print(stderr, "{}\n", text);
  std::fflush(stderr);
  dirty_ = true;
  last_ = elapsed;
  processed_.clear();
  for (const CpuStats& cpu : stats.cpus) processed_.push_back(cpu.processed);
}

void Progress::end() {
  if (dirty_ && terminal_) fmt::print(stderr, "\r\033[K");
  dirty_ = false;
  std::fflush(stderr);
}

}  // namespace netrx::cli
