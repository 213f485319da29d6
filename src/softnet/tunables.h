// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "netrx/time.h"

namespace netrx {

/// One integer of /proc/sys/net/core: the control plane writes it, every CPU reads it, and a stale value for a while is
/// as good as the kernel gives.
class Tunable {
 public:
  explicit Tunable(int initial) : value_(initial) {}
  int read() const { return value_.load(std::memory_order_relaxed); }
  void write(int value) { value_.store(value, std::memory_order_relaxed); }

 private:
  std::atomic<int> value_;
};

/// /proc/sys/net/core, receive side: the kernel's names, units and defaults. Ranges and parse rules are the
/// configuration's (engine/), which is the only writer.
struct Tunables {
  Tunable netdev_max_backlog{1000};   ///< packets in input_pkt_queue beyond which enqueue drops; negative: no limit
  Tunable netdev_budget{300};         ///< packets a net_rx_action run
  Tunable netdev_budget_usecs{8000};  ///< microseconds a net_rx_action run; default 2 jiffies
  Tunable dev_weight{64};
  Tunable dev_weight_rx_bias{1};
  Tunable dev_weight_tx_bias{1};
  Tunable dev_rx_weight{64};    ///< derived: dev_weight * dev_weight_rx_bias; the backlog's weight
  Tunable gro_normal_batch{8};  ///< segments that make a list go up
  Tunable skb_defer_max{64};    ///< packets on a CPU's defer_list
  Tunable netdev_tstamp_prequeue{1};
  Tunable busy_poll{0};
  Tunable busy_read{0};
  Tunable max_skb_frags{17};
  Tunable flow_limit_table_len{4096};

  // /proc/sys/net/netrx: not the kernel's, off by default.
  Tunable rps_map_in_order{0};  ///< RFS also keeps order between the map's choice and a consumer's
  Tunable gro_in_order{0};      ///< what GRO lets by pushes out the held packets it would overtake
  Tunable gro_flow_buckets{0};  ///< GRO's buckets, chosen by flow; 0: the kernel's 8, chosen by the device's hash
};

/// The tick. Time limits are counted in it, as in the kernel; 250 Hz is Debian's setting.
struct Tick {
  std::uint32_t hz = 250;
  Nanos length() const { return Nanos(std::chrono::seconds(1)) / hz; }
  std::uint64_t jiffies(Nanos now) const { return static_cast<std::uint64_t>(now / length()); }
};

}  // namespace netrx
