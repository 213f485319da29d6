// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>

#include "sim/machine.h"

namespace netrx::simtest {

/// The last events of a run, for whoever has to understand a failure; every one of them in verbose mode.
class EventLog {
 public:
  static constexpr std::size_t kKept = 32;

  struct Event {
    Nanos at{0};
    const SimTask* task = nullptr;
    const char* what = "";
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    const char* detail = "";
  };

  explicit EventLog(bool verbose) : verbose_(verbose) {}

  void add(SimMachine& machine, const char* what, std::uint64_t a, std::uint64_t b = 0, const char* detail = "") {
    Event& event = kept_[count_++ % kKept];
    event = {machine.now(), machine.current(), what, a, b, detail};
    machine.note(a * 31 + b);
    if (verbose_) std::puts(line(event).c_str());
  }

  std::string tail(std::size_t n) const {
    std::string text;
    for (std::uint64_t i = count_ - std::min<std::uint64_t>({count_, n, kKept}); i < count_; ++i)
      text += line(kept_[i % kKept]) + "\n";
    return text;
  }

 private:
  static std::string line(const Event& event) {
    char text[160];
    std::snprintf(text, sizeof text, "%12.3f us  %-9s %-18s %6llu %6llu %s",
                  static_cast<double>(event.at.count()) / 1000, event.task == nullptr ? "-" : event.task->name.c_str(),
                  event.what, static_cast<unsigned long long>(event.a), static_cast<unsigned long long>(event.b),
                  event.detail);
    return text;
  }

  const bool verbose_;
  std::uint64_t count_ = 0;
  std::array<Event, kKept> kept_;
};

}  // namespace netrx::simtest
