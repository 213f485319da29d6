// SPDX-License-Identifier: Apache-2.0
// Compiled by ctest, never linked: touching a Cpu's local field builds when one occupies that Cpu, and does not build
// (FOREIGN) when one occupies another.

#include "cpu/cpu.h"

namespace netrx {

struct PerCpu {
  Cpu cpu;
  int local NETRX_GUARDED_BY(cpu) = 0;
};

int touch(PerCpu& mine, [[maybe_unused]] PerCpu& other, Actor& actor) {
  const CpuGuard here(mine.cpu, actor);
#ifdef FOREIGN
  return other.local;
#else
  return mine.local;
#endif
}

}  // namespace netrx
