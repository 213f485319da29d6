// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "netrx/devices.h"

namespace netrx {

/// Told while a capture is read, every few megabytes and once at its end. `total` is 0 when it is not known (a pipe).
using CaptureProgress = std::function<void(std::uint64_t bytes_read, std::uint64_t total)>;

/// Teaches `catalog` the device `pcap` (frames from a capture file) and the middleware `dump` (frames into one). Link
/// with netrx::pcap.
void add_pcap_devices(DeviceCatalog& catalog, CaptureProgress progress = {});

}  // namespace netrx
