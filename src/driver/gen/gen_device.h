// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "driver/gen/gen_options.h"
#include "netrx/devices.h"

namespace netrx {

/// Where generated frames go to and come from.
inline constexpr std::array<std::uint8_t, 6> kGenAddress{0x02, 0, 0, 0, 0, 0x01};
inline constexpr std::array<std::uint8_t, 6> kGenPeerAddress{0x02, 0, 0, 0, 0, 0x02};

/// A device that makes its frames itself: seeded, the same for the same options on every machine and for every way of
/// polling (lost frames aside). Each queue has the flows that RSS gives it, its share of the rate by their weight, and
/// draws on its own, so that queues need nothing of one another.
std::unique_ptr<NetDevice> make_gen_device(const GenOptions& options);

DeviceKind gen_device_kind();

}  // namespace netrx
