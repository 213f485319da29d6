// SPDX-License-Identifier: Apache-2.0
#include "watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <string>

#include "units.h"

namespace netrx::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr Nanos kLook = std::chrono::milliseconds(200);  // how often progress is looked at
constexpr Nanos kPatience = std::chrono::seconds(5);     // without any
constexpr Nanos kShortWait = std::chrono::microseconds(500);
constexpr Nanos kLongWait = std::chrono::milliseconds(5);

/// Sees whether anything moves.
class StallDetector {
 public:
  explicit StallDetector(const Session& session) : session_(session) {}

  /// True when packets wait somewhere and nothing has moved for kPatience.
  bool stalled(const EngineStats& stats, Clock::time_point now) {
    const std::uint64_t applications = session_.apps() != nullptr ? session_.apps()->received() : 0;
    const Conservation& sum = stats.conservation;
    const std::uint64_t moved = sum.received + sum.delivered + sum.merged + sum.dropped + applications;
    const std::uint64_t starved = alloc_fails(stats);
    if (moved != moved_) {
      moved_ = moved;
      since_ = now;
      starved_ = starved;
      told_ = false;
    }
    if (now - since_ < kPatience) return false;
    const Apps* apps = session_.apps();
    const bool applications_late = apps != nullptr && !apps->drained();
    if (sum.held == 0 && !applications_late && starved == starved_) {
      tell_idle();
      return false;
    }
    why_ = fmt::format("no progress for {}: {} packets wait in the path, {} for applications",
                       short_duration(static_cast<std::uint64_t>(kPatience.count())), grouped(sum.held),
                       grouped(apps != nullptr ? apps->waiting() : 0));
    if (starved != starved_) why_ += "; a pool is dry, so nothing can be received (--pool-packets, --app-capacity)";
    return true;
  }

  const std::string& why() const { return why_; }

 private:
  static std::uint64_t alloc_fails(const EngineStats& stats) {
    std::uint64_t sum = 0;
    for (const DeviceStats& device : stats.devices)
      for (const QueueStats& queue : device.queues) sum += queue.rx_alloc_fail;
    return sum;
  }

  void tell_idle() {
    if (told_) return;
    told_ = true;
    std::fputs("netrx: nothing has arrived for 5 s; waiting (Ctrl-C ends the run, --duration bounds it)\n", stderr);
  }

  const Session& session_;
  std::uint64_t moved_ = 0;
  std::uint64_t starved_ = 0;
  Clock::time_point since_ = Clock::now();
  bool told_ = false;
  std::string why_;
};

/// Tells on stderr, when it happens, what devices have to say that they had not at the start: an interface that goes
/// down or away, or comes back.
class Remarks {
 public:
  void look(const EngineStats& stats, const Sinks& sinks) {
    for (const DeviceStats& device : stats.devices) look(device.name, device.remark);
    for (const SinkStats& sink : sinks.stats()) look(sink.name, sink.remark);
    first_ = false;
  }

 private:
  void look(const std::string& device, const std::string& remark) {
    std::string& last = last_[device];
    if (!first_ && remark != last)
      fmt::print(stderr, "netrx: {}: {}\n", device, remark.empty() ? "all is well again" : remark);
    last = remark;
  }

  bool first_ = true;
  std::map<std::string, std::string> last_;
};

bool finished(Session& session) {
  return session.engine().drained() && (session.apps() == nullptr || session.apps()->drained());
}

}  // namespace

Ending watch(Session& session, Signals& signals, Progress& progress) {
  const Clock::time_point began = Clock::now();
  const std::optional<Nanos> duration = session.options().duration;
  const Clock::time_point deadline = duration ? began + *duration : Clock::time_point::max();
  Clock::time_point next_look = began + kLook;
  StallDetector detector(session);
  Remarks remarks;
  remarks.look(session.engine().stats(), session.sinks());
  while (true) {
    const Clock::time_point now = Clock::now();
    if (finished(session)) return {};
    if (now >= deadline) return {.ended = Ended::duration};
    if (now >= next_look) {
      next_look = now + kLook;
      const EngineStats stats = session.engine().stats();
      remarks.look(stats, session.sinks());
      progress.show(stats, session.apps(), now - began);
      if (detector.stalled(stats, now)) return {.ended = Ended::stalled, .trouble = detector.why()};
    }
    const Nanos wait = now - began < std::chrono::milliseconds(100) ? kShortWait : kLongWait;
    if (const int signal = signals.wait(std::min<Nanos>(wait, deadline - now)); signal != 0)
      return {.ended = Ended::interrupted, .signal = signal};
  }
}

}  // namespace netrx::cli
