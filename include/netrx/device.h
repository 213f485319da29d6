// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "netrx/flow.h"
#include "netrx/packet.h"
#include "netrx/packet_pool.h"
#include "netrx/time.h"

namespace netrx {

/// What a queue may use while it fills a batch.
struct PollContext {
  Nanos now;
  PacketPool& pool;  ///< of the CPU that polls
};

/// What a queue counts; written by whoever polls it, read by anyone. Kernel: struct rtnl_link_stats64, per queue.
struct RxQueueStats {
  std::atomic<std::uint64_t> rx_packets{0};  ///< put into batches
  std::atomic<std::uint64_t> rx_bytes{0};
  std::atomic<std::uint64_t> rx_missed_errors{0};  ///< arrived while the queue was full
  std::atomic<std::uint64_t> rx_length_errors{0};  ///< too short or too long to be received
  std::atomic<std::uint64_t> rx_frame_errors{0};   ///< the device's own header contradicts the frame
  std::atomic<std::uint64_t> rx_alloc_fail{0};     ///< polls cut short because the pool was dry; nothing is lost

  static void add(std::atomic<std::uint64_t>& counter, std::uint64_t n = 1) {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
};

/// A receive queue of a device: what a driver author writes. docs/path/1-driver.md tells the same as a story.
///
/// Thread safety: poll(), irq_mask(), irq_unmask() and irq_missed() are called by whoever owns the queue's NAPI, one
/// at a time, on changing CPUs, with everything of the last call visible. irq_take() and next_attention() are called by
/// the CPU that the interrupt is bound to, possibly while another CPU polls: they may read only what is safe to read
/// then. stats() and exhausted() by anyone.
///
/// Packets: a queue gives out what it allocated in this poll. Middleware may keep packets from one poll to another, and
/// gives them back to their pools when it goes: pools outlive the devices that were polled with them.
class RxQueue {
 public:
  /// Where the queue stood when it was unmasked. Kernel: the value of virtqueue_enable_cb_prepare.
  using IrqCookie = std::uint32_t;

  virtual ~RxQueue() = default;

  /// Appends up to `budget` packets (and no more than `batch` has room for) that have arrived by `context.now`, in
  /// order of arrival; returns how many. `rx_seq` counts them up from 0 and never repeats. A packet starts at its link
  /// header, or at its network header where the device has no link header: `data` = `head + mac_header` either way,
  /// and `protocol` and `network_header` are set in the second case. Hash, VLAN tag, checksum state and time stamp are
  /// set where the device knows them; device, queue_mapping and napi_id are filled in by the path. Fewer than `budget`
  /// means that nothing more is here, or that the pool is dry; then nothing is lost, rx_alloc_fail counts, and the
  /// queue asks for attention a while later.
  virtual std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) = 0;

  /// Interrupts off. Kernel: virtqueue_disable_cb.
  virtual void irq_mask() = 0;

  /// Interrupts on, and the place from which irq_missed() judges. Kernel: virtqueue_enable_cb_prepare.
  virtual IrqCookie irq_unmask() = 0;

  /// True when something arrived between the last poll and irq_unmask(), which no interrupt will announce. Contains
  /// the full barrier that closes the lost-interrupt window. Kernel: virtqueue_poll.
  virtual bool irq_missed(IrqCookie cookie) = 0;

  /// True when the queue wants an interrupt now: unmasked, and something has arrived by `now`. Whoever is told so
  /// schedules the queue's NAPI. A queue may say it once for each unmasking (as ours do) or for as long as it is so.
  virtual bool irq_take(Nanos now) = 0;

  /// When a sleeping CPU must look again: the next arrival if known, kNever if only irq_fd() tells or nothing comes.
  /// A masked queue that expects frames names a time too: another CPU may unmask it without a word.
  virtual Nanos next_attention(Nanos now) = 0;

  /// Becomes readable when the queue has something; -1 when next_attention() says it all.
  virtual int irq_fd() const { return -1; }

  /// True when nothing will ever arrive again and all that arrived was polled (a capture at its end).
  virtual bool exhausted() const { return false; }

  const RxQueueStats& stats() const { return stats_; }

 protected:
  RxQueueStats stats_;
};

/// What a device's transmit side does by itself. What it does not, whoever sends has done before it hands a packet
/// over. Kernel: netdev_features_t, the transmit half.
struct TxFeatures {
  bool checksum = false;          ///< completes CHECKSUM_PARTIAL. Kernel: NETIF_F_HW_CSUM
  bool scatter = false;           ///< takes packets with frags. Kernel: NETIF_F_SG
  bool tcp_segmentation = false;  ///< takes kGsoTcpv4 and kGsoTcpv6. Kernel: NETIF_F_TSO, NETIF_F_TSO6
  bool udp_segmentation = false;  ///< takes kGsoUdpL4. Kernel: NETIF_F_GSO_UDP_L4
};

/// What a transmit queue counts; written by its user, read by anyone. Kernel: struct rtnl_link_stats64, per queue.
struct TxQueueStats {
  std::atomic<std::uint64_t> tx_packets{0};  ///< taken by xmit()
  std::atomic<std::uint64_t> tx_bytes{0};
  std::atomic<std::uint64_t> tx_errors{0};  ///< taken, and refused by the device for what they are
  std::atomic<std::uint64_t> tx_busy{0};    ///< calls of xmit() that could not take everything. Kernel: NETDEV_TX_BUSY
};

/// A transmit queue of a device. Kernel: struct netdev_queue, ndo_start_xmit and the completion interrupt's work.
///
/// Thread safety: everything by one CPU at a time, with everything of the last call visible; stats() by anyone.
///
/// Order: packets leave in the order in which xmit() took them.
class TxQueue {
 public:
  virtual ~TxQueue() = default;

  /// Takes packets from the front of `packets` and returns how many; the rest is the caller's still. A packet's `data`
  /// stands at its link header, or at its network header where the device has no link header; a VLAN tag in the
  /// packet's fields is the queue's to put back. It needs nothing of the device that TxFeatures does not name. What was
  /// taken belongs to the queue until xmit_done() gives it out; nothing need leave before xmit_kick().
  virtual std::size_t xmit(std::span<Packet* const> packets) = 0;

  /// Announces what was taken since the last call. Kernel: the last packet of a series, xmit_more off.
  virtual void xmit_kick() = 0;

  /// Appends packets that the device is done with, as many as there are and `done` has room for; returns how many.
  /// Whoever called ends them. Kernel: free_old_xmit.
  virtual std::size_t xmit_done(PacketBatch& done) = 0;

  const TxQueueStats& stats() const { return stats_; }

 protected:
  TxQueueStats stats_;
};

/// A network device. Kernel: struct net_device, the driver's half.
class NetDevice {
 public:
  virtual ~NetDevice() = default;
  virtual std::string_view name() const = 0;  ///< as in /sys/class/net, at most 15 characters
  virtual std::array<std::uint8_t, 6> address() const { return {}; }
  virtual std::size_t queue_count() const = 0;    ///< fixed; 0: it only sends
  virtual RxQueue& queue(std::size_t index) = 0;  ///< lives as long as the device
  virtual FlowHashKind flow_hash() const {
    return FlowHashKind::siphash;
  }  ///< what RPS hashes this device's packets with
  virtual bool takes_gro() const { return true; }  ///< NETIF_F_GRO
  virtual bool has_link_header() const {
    return true;
  }  ///< frames start with 14 bytes of Ethernet; else `protocol` is preset
  virtual std::size_t tx_queue_count() const { return 0; }  ///< fixed; 0: it only receives
  virtual TxQueue& tx_queue(std::size_t /*index*/) {
    std::abort();
  }  ///< below tx_queue_count(); lives as long as the device
  virtual TxFeatures tx_features() const { return {}; }
  /// One line a person should see at the end (a damaged capture, kernel drops); empty when there is nothing to say.
  virtual std::string remark() const { return {}; }
};

}  // namespace netrx
