// SPDX-License-Identifier: Apache-2.0
#include "driver/vhost_user/queues.h"

#include <algorithm>

namespace netrx::vhost {

template class BasicRxSide<LiveHost>;

std::size_t TxSide::xmit(std::span<Packet* const> packets) {
  const std::lock_guard lock(mutex_);
  const std::size_t most = pair_ != nullptr ? std::min(packets.size(), done_.room()) : 0;
  std::size_t taken = 0;
  std::uint64_t refused = 0;
  for (; taken < most; ++taken) {
    const virtio::NetTx::Sent sent = pair_->tx->send(*packets[taken]);
    if (sent == virtio::NetTx::Sent::no_room) break;
    if (sent == virtio::NetTx::Sent::refused) ++refused;
  }
  done_.add(packets.first(taken));  // copied: the packets are done with
  count_taken(stats_, packets.first(taken), packets.size());
  RxQueueStats::add(stats_.tx_errors, refused);
  return taken;
}

void TxSide::xmit_kick() {
  const std::lock_guard lock(mutex_);
  if (pair_ != nullptr && pair_->tx->kick()) signal(pair_->tx_kick.get());
}

std::size_t TxSide::xmit_done(PacketBatch& done) {
  const std::lock_guard lock(mutex_);
  if (pair_ != nullptr) pair_->tx->reclaim();
  return done_.give(done);
}

void TxSide::attach(QueuePair& pair) {
  const std::lock_guard lock(mutex_);
  pair_ = &pair;
}

void TxSide::detach() {
  const std::lock_guard lock(mutex_);
  pair_ = nullptr;
}

}  // namespace netrx::vhost
