// SPDX-License-Identifier: Apache-2.0
#include "softnet/softnet.h"

namespace netrx {

void Softnet::synchronize_net(Actor& actor) {
  actor.at(Site::publish);
  for (const std::unique_ptr<SoftnetData>& sd : cpus)
    if (sd != nullptr) CpuGuard turn(sd->cpu, actor);
  for (Turnstile* reader : readers) ReaderGuard turn(*reader, actor);
}

}  // namespace netrx
