// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "driver/pcap/capture.h"
#include "driver/queue_options.h"

namespace netrx {

struct PcapOptions {
  QueueOptions queue{.name = "pcap0"};
  std::uint64_t loops = 1;  ///< times the capture is played; kForever
  RateOption rate = {};

  static constexpr std::uint64_t kForever = ~std::uint64_t{0};
};

/// A device whose frames come from a capture. `file` is for remark().
std::unique_ptr<NetDevice> make_pcap_device(Capture capture, const PcapOptions& options, const std::string& file);

DeviceKind pcap_device_kind(CaptureProgress progress);

}  // namespace netrx
