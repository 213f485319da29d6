// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "netrx/device.h"

namespace netrx {

/// A queue that stands before another and, unless a derived class says otherwise, passes everything on.
class WrappedQueue : public RxQueue {
 public:
  explicit WrappedQueue(RxQueue& inner) : inner_(inner) {}

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override {
    const std::size_t got = inner_.poll(context, batch, budget);
    copy(stats_.rx_packets, inner_.stats().rx_packets);
    copy(stats_.rx_bytes, inner_.stats().rx_bytes);
    copy_losses();
    return got;
  }
  void irq_mask() override { inner_.irq_mask(); }
  IrqCookie irq_unmask() override { return inner_.irq_unmask(); }
  bool irq_missed(IrqCookie cookie) override { return inner_.irq_missed(cookie); }
  bool irq_take(Nanos now) override { return inner_.irq_take(now); }
  Nanos next_attention(Nanos now) override { return inner_.next_attention(now); }
  int irq_fd() const override { return inner_.irq_fd(); }
  bool exhausted() const override { return inner_.exhausted(); }

 protected:
  /// What the inner queue lost is this queue's loss too.
  void copy_losses() {
    copy(stats_.rx_missed_errors, inner_.stats().rx_missed_errors);
    copy(stats_.rx_length_errors, inner_.stats().rx_length_errors);
    copy(stats_.rx_frame_errors, inner_.stats().rx_frame_errors);
    copy(stats_.rx_alloc_fail, inner_.stats().rx_alloc_fail);
  }

  RxQueue& inner_;

 private:
  static void copy(std::atomic<std::uint64_t>& to, const std::atomic<std::uint64_t>& from) {
    to.store(from.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
};

/// Middleware: a device around another, whose name, address and features it has. Derived classes wrap every queue.
class WrappedDevice : public NetDevice {
 public:
  explicit WrappedDevice(std::unique_ptr<NetDevice> inner) : inner_(std::move(inner)) {}

  std::string_view name() const override { return inner_->name(); }
  std::array<std::uint8_t, 6> address() const override { return inner_->address(); }
  std::size_t queue_count() const override { return queues_.size(); }
  RxQueue& queue(std::size_t index) override { return *queues_[index]; }
  FlowHashKind flow_hash() const override { return inner_->flow_hash(); }
  bool takes_gro() const override { return inner_->takes_gro(); }
  bool has_link_header() const override { return inner_->has_link_header(); }
  std::string remark() const override { return inner_->remark(); }

 protected:
  /// The inner device's remark and one more, either of which may be empty.
  std::string remark_and(const std::string& own) const {
    std::string text = inner_->remark();
    if (!text.empty() && !own.empty()) text += "; ";
    return text + own;
  }

  std::unique_ptr<NetDevice> inner_;
  std::vector<std::unique_ptr<RxQueue>> queues_;  ///< go before what they wrap
};

}  // namespace netrx
