// SPDX-License-Identifier: Apache-2.0
#include "driver/vhost_user/queues.h"

#include <algorithm>

namespace netrx::vhost {

std::size_t RxSide::poll(PollContext& context, PacketBatch& batch, std::size_t budget) {
  const std::lock_guard lock(mutex_);
  resumed_ = false;
  if (pair_ == nullptr) return 0;
  const virtio::NetRx::Outcome outcome = pair_->rx->poll(context, batch, budget, rx_seq_);
  if (outcome.kick) signal(pair_->rx_kick.get());
  dry_until_ = outcome.dry ? context.now + kDryPause : Nanos{0};
  if (ended_ && !pair_->rx->has_work()) exhausted_.store(true, std::memory_order_release);
  return outcome.got;
}

void RxSide::irq_mask() {
  armed_.store(false, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  if (pair_ != nullptr) pair_->rx_ring->disable_cb();
}

RxQueue::IrqCookie RxSide::irq_unmask() {
  const std::lock_guard lock(mutex_);
  armed_.store(true, std::memory_order_relaxed);
  return pair_ != nullptr ? pair_->rx_ring->enable_cb_prepare() : 0;
}

bool RxSide::irq_missed(IrqCookie cookie) {
  const std::lock_guard lock(mutex_);
  if (pair_ == nullptr) return false;
  if (dry_until_ != Nanos{0}) return false;  // attention comes when the pool has had time
  return resumed_ || pair_->rx->has_leftover() || pair_->rx_ring->poll(cookie);
}

/// There is a reason to interrupt; under the mutex.
bool RxSide::ready(Nanos now) const {
  if (pair_ == nullptr) return false;
  if (dry_until_ != Nanos{0}) return now >= dry_until_;
  return resumed_ || pair_->rx->has_work();
}

/// The ring says more than the eventfd does, and without a system call: the eventfd only wakes sleepers, and is emptied
/// every so often, so that a stale call costs a sleeper some short rounds and no more. It is emptied before anything is
/// looked at: a call that was taken away was preceded by what it announces.
bool RxSide::irq_take(Nanos now) {
  bool called = false;
  if (now.count() - drained_at_.load(std::memory_order_relaxed) >= kDrainEvery.count()) {
    called = drain(call_.get());
    drained_at_.store(now.count(), std::memory_order_relaxed);
  }
  if (!armed_.load(std::memory_order_relaxed) && !called) return false;
  const std::lock_guard lock(mutex_);
  if (!armed_.load(std::memory_order_relaxed) || !ready(now)) return false;
  if (called) pair_->rx_ring->note_interrupt();
  armed_.store(false, std::memory_order_relaxed);
  return true;
}

Nanos RxSide::next_attention(Nanos) {
  const std::lock_guard lock(mutex_);
  if (pair_ == nullptr || exhausted()) return kNever;
  return dry_until_ != Nanos{0} ? dry_until_ : kNever;
}

void RxSide::attach(QueuePair& pair) {
  {
    const std::lock_guard lock(mutex_);
    pair_ = &pair;
    resumed_ = true;
    dry_until_ = Nanos{0};
    if (armed_.load(std::memory_order_relaxed)) (void)pair_->rx_ring->enable_cb_prepare();
  }
  signal(call_.get());
}

void RxSide::detach() {
  const std::lock_guard lock(mutex_);
  pair_ = nullptr;
}

bool RxSide::has_work() {
  const std::lock_guard lock(mutex_);
  return pair_ != nullptr && pair_->rx->has_work();
}

void RxSide::end() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    if (pair_ == nullptr || !pair_->rx->has_work()) exhausted_.store(true, std::memory_order_release);
  }
  signal(call_.get());
}

std::uint32_t RxSide::average() {
  const std::lock_guard lock(mutex_);
  return pair_ != nullptr ? pair_->rx->average() : 0;
}

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
