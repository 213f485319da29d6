// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>

#include "driver/live/done_packets.h"
#include "driver/vhost_user/eventfd.h"
#include "driver/vhost_user/front_end.h"
#include "driver/vhost_user/rx_side.h"
#include "netrx/device.h"

namespace netrx::vhost {

/// Queues as programs have them: eventfds, and threads that wait for each other.
struct LiveHost {
  using Mutex = std::mutex;
  using Event = OwnedFd;
  static Event make_event() { return make_eventfd(); }
  static void signal(const Event& event) { vhost::signal(event.get()); }
  static bool drain(const Event& event) { return vhost::drain(event.get()); }
  static int fd(const Event& event) { return event.get(); }
};

extern template class BasicRxSide<LiveHost>;
using RxSide = BasicRxSide<LiveHost>;

/// A transmit queue of the driver. While nobody is connected it takes nothing.
class TxSide final : public TxQueue {
 public:
  std::size_t xmit(std::span<Packet* const> packets) override;
  void xmit_kick() override;
  std::size_t xmit_done(PacketBatch& done) override;

  void attach(QueuePair& pair);
  void detach();

 private:
  std::mutex mutex_;
  QueuePair* pair_ = nullptr;
  DonePackets done_;
};

}  // namespace netrx::vhost
