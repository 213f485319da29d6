// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softnet/softnet.h"

namespace netrx {

/// What happens to packets that steering has no CPU for.
enum class Unsteered : std::uint8_t {
  stay_in_list,    ///< the caller hands them up here
  to_own_backlog,  ///< they queue up here
};

/// Sends each packet of the list to the backlog of the CPU chosen for it; what stays in the list keeps its order.
/// Dropped packets are counted and gone.
void steer_list(Softnet& net, SoftnetData& sd, PacketBatch& list, Unsteered unsteered) NETRX_REQUIRES(sd.cpu);

}  // namespace netrx
