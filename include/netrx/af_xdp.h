// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netrx/devices.h"

namespace netrx {

/// Teaches `catalog` the device `af_xdp`: frames straight from a driver's receive queue, in shared memory, before the
/// kernel's stack sees them; sending by the same queue. Link with netrx::af_xdp.
void add_af_xdp_devices(DeviceCatalog& catalog);

}  // namespace netrx
