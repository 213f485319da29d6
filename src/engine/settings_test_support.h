// SPDX-License-Identifier: Apache-2.0
// Devices for what is about their settings alone.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "netrx/device.h"

namespace netrx {

/// Nothing ever comes.
class SilentQueue : public RxQueue {
 public:
  std::size_t poll(PollContext&, PacketBatch&, std::size_t) override { return 0; }
  void irq_mask() override {}
  IrqCookie irq_unmask() override { return 0; }
  bool irq_missed(IrqCookie) override { return false; }
  bool irq_take(Nanos) override { return false; }
  Nanos next_attention(Nanos) override { return kNever; }
};

class SilentDevice : public NetDevice {
 public:
  SilentDevice(std::string name, std::size_t queues) : name_(std::move(name)), queues_(queues) {}
  std::string_view name() const override { return name_; }
  std::size_t queue_count() const override { return queues_.size(); }
  RxQueue& queue(std::size_t index) override { return queues_[index]; }

 private:
  const std::string name_;
  std::vector<SilentQueue> queues_;
};

}  // namespace netrx
