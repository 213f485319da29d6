// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "netrx/device.h"

namespace netrx {

/// What a transmit queue has sent and not yet given back, of a device that copies: its packets are done at once.
class DonePackets {
 public:
  std::size_t room() const { return packets_.size() - (end_ - begin_); }

  /// No more than there is room for.
  void add(std::span<Packet* const> packets) {
    if (begin_ == end_) begin_ = end_ = 0;
    if (end_ + packets.size() > packets_.size()) {
      std::copy(packets_.begin() + begin_, packets_.begin() + end_, packets_.begin());
      end_ -= begin_;
      begin_ = 0;
    }
    std::ranges::copy(packets, packets_.begin() + end_);
    end_ += static_cast<std::uint32_t>(packets.size());
  }

  /// As TxQueue::xmit_done.
  std::size_t give(PacketBatch& done) {
    const std::size_t n = std::min<std::size_t>(done.room(), end_ - begin_);
    std::copy_n(packets_.begin() + begin_, n, done.extend(n).begin());
    begin_ += static_cast<std::uint32_t>(n);
    return n;
  }

 private:
  std::uint32_t begin_ = 0, end_ = 0;
  std::array<Packet*, std::size_t{4} * PacketBatch::kCapacity> packets_;
};

/// Counts one xmit(): what was taken of `offered`.
inline void count_taken(TxQueueStats& stats, std::span<Packet* const> taken, std::size_t offered) {
  std::uint64_t bytes = 0;
  for (const Packet* packet : taken) bytes += packet->len;
  RxQueueStats::add(stats.tx_packets, taken.size());
  RxQueueStats::add(stats.tx_bytes, bytes);
  if (taken.size() < offered) RxQueueStats::add(stats.tx_busy);
}

}  // namespace netrx
