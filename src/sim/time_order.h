// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <map>

#include "base/prng.h"
#include "sim/machine.h"

namespace netrx {

/// Virtual time: each task has a clock that its steps advance, and the one furthest behind runs. Whatever else can
/// happen on a real machine is a delay: short ones between any two steps, long ones when a host takes a CPU away.
class TimeOrder : public SimScheduler {
 public:
  explicit TimeOrder(const SimOptions& options);

  bool at(SimMachine& machine, SimTask& me, Site site, std::uint32_t n) override;
  void relax(SimMachine& machine, SimTask& me) override;
  void wake(SimMachine& machine, SimTask* me, SimTask& sleeper) override;
  SimTask* pick(SimMachine& machine) override;

 private:
  void disturb(SimTask& me, Site site);
  Site draw_hot_site();
  std::uint64_t draw_gap(std::uint32_t ppm);
  Nanos core_free(const SimTask& task) const;
  void use_core(const SimTask& task);

  const SimOptions options_;
  Prng prng_;
  std::array<std::uint32_t, static_cast<std::size_t>(Site::count)> cost_;
  Site hot_site_;
  std::uint64_t until_delay_;
  std::uint64_t until_stall_;
  Nanos horizon_{0};                      // when somebody else's turn comes, as of the last switch or wake
  std::map<std::uint16_t, Nanos> cores_;  // until when each shared core is taken
};

}  // namespace netrx
