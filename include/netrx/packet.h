// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "netrx/byte_order.h"
#include "netrx/time.h"

namespace netrx {

struct Netif;

/// What is known of the checksum. Kernel: CHECKSUM_NONE, CHECKSUM_UNNECESSARY, CHECKSUM_COMPLETE, CHECKSUM_PARTIAL.
enum class IpSummed : std::uint8_t { none, unnecessary, complete, partial };

/// To whom the frame was addressed. Kernel: PACKET_HOST ...
enum class PacketKind : std::uint8_t { host, broadcast, multicast, otherhost };

/// Bits of Packet::gso_type. Kernel: SKB_GSO_*.
enum GsoType : std::uint32_t {
  kGsoTcpv4 = 1u << 0,
  kGsoDodgy = 1u << 1,
  kGsoTcpEcn = 1u << 2,
  kGsoTcpFixedId = 1u << 3,
  kGsoTcpv6 = 1u << 4,
  kGsoGre = 1u << 6,
  kGsoIpxip4 = 1u << 8,      ///< IPv4 or IPv6 in IPv4
  kGsoIpxip6 = 1u << 9,      ///< IPv4 or IPv6 in IPv6
  kGsoUdpTunnel = 1u << 10,  ///< VXLAN, GENEVE
  kGsoUdpTunnelCsum = 1u << 11,
  kGsoUdp = 1u << 16,  ///< UFO: fragments of one datagram
  kGsoUdpL4 = 1u << 17,
  kGsoFraglist = 1u << 18,
};
inline constexpr std::uint32_t kGsoTunnels = kGsoGre | kGsoIpxip4 | kGsoIpxip6 | kGsoUdpTunnel | kGsoUdpTunnelCsum;

/// Lends frames to packets: a UMEM, a virtqueue, a mapped ring. A frame belongs to the queue that lent it, and goes
/// back there when its packet ends.
class FrameHome {
 public:
  virtual ~FrameHome() = default;
  /// Takes frames back, many at a time. May be called on any CPU.
  virtual void frames_home(std::span<const std::uint32_t> frame_ids) = 0;
};

inline constexpr std::uint16_t kNoCpu = 0xffff;  ///< Kernel: RPS_NO_CPU

/// A received packet. Kernel: struct sk_buff, the fields the receive path uses, with the kernel's meanings.
///
/// Ownership: a packet has one owner at a time (a batch, a queue, a handler) and ends in exactly one place: delivered,
/// merged into another, or dropped with a reason. Only the owner may touch it. Header offsets count from `head`.
///
/// Bytes: `len` of them, the first headlen() at `data` (the linear part), the others in `frags`: further packets,
/// linked by `next`, that lend their own linear parts and end with this one. What GRO merged and what came in several
/// buffers has frags; of those, buffers that never were a packet have network_header 0. The headers of a packet that
/// reaches steering are always linear.
struct alignas(64) Packet {
  // What every stage reads: one cache line.
  Packet* next = nullptr;        ///< link of whichever list the owner keeps it on
  std::uint8_t* data = nullptr;  ///< start of what is not parsed yet; L3 from the GRO stage on
  Netif* dev = nullptr;
  Nanos tstamp{0};             ///< when the poll that took it began; 0 = not stamped
  std::uint32_t len = 0;       ///< bytes from data on, frags included
  std::uint32_t data_len = 0;  ///< of those, in frags
  std::uint32_t hash = 0;
  Be16 protocol{};
  Be16 vlan_proto{};  ///< out-of-band tag, valid with vlan_present
  std::uint16_t vlan_tci = 0;
  std::uint16_t queue_mapping = 0;  ///< 0 = no rx queue recorded, else queue + 1
  std::uint16_t mac_header = 0;
  std::uint16_t network_header = 0;
  std::uint16_t transport_header = 0;
  std::uint16_t alloc_cpu = kNoCpu;  ///< whose pool it belongs to
  bool l4_hash : 1 = false;
  bool sw_hash : 1 = false;
  bool vlan_present : 1 = false;
  bool encapsulation : 1 = false;  ///< the inner headers below are set
  bool gro_held : 1 = false;       ///< the GRO stage held it for a while; meanwhile others may have overtaken it
  bool has_frags : 1 = false;      ///< `frags` is not null: whoever ends the packet need not touch the second line
  std::uint8_t spare : 2 = 0;      ///< named, so that a reset writes the whole byte and need not wait for its line
  IpSummed ip_summed = IpSummed::none;
  PacketKind pkt_type : 4 = PacketKind::host;
  std::uint8_t csum_level : 4 = 0;
  std::uint8_t nr_frags = 0;  ///< Kernel: skb_shinfo(skb)->nr_frags; further ones the kernel would chain on frag_list

  // What some stages read.
  std::uint8_t* head = nullptr;     ///< start of the buffer
  Packet* frags = nullptr;          ///< what follows the linear part (append_frag); null: nothing does
  FrameHome* frame_home = nullptr;  ///< null: the frame is the packet's own buffer
  std::uint64_t rx_seq = 0;         ///< position in its queue's order of arrival; what order checks compare
  std::uint32_t frame_id = 0;       ///< the lender's name for the frame
  std::uint32_t buffer_size = 0;    ///< bytes from head on
  std::uint32_t napi_id = 0;
  std::uint32_t csum = 0;  ///< CHECKSUM_COMPLETE: the sum; CHECKSUM_PARTIAL: start | offset << 16
  std::uint32_t gso_type = 0;
  std::uint16_t gso_size = 0;
  std::uint16_t gso_segs = 0;
  std::uint16_t inner_network_header = 0;
  std::uint16_t inner_transport_header = 0;
  std::uint32_t flow_tag = 0;  ///< free for the application

  std::uint32_t headroom() const { return static_cast<std::uint32_t>(data - head); }
  std::uint32_t headlen() const { return len - data_len; }  ///< Kernel: skb_headlen
  std::uint32_t tailroom() const { return buffer_size - headroom() - headlen(); }
  const std::uint8_t* mac() const { return head + mac_header; }
  std::uint16_t mac_len() const { return static_cast<std::uint16_t>(network_header - mac_header); }
  std::span<const std::uint8_t> linear() const { return {data, headlen()}; }  ///< the bytes that are not in frags
};
static_assert(sizeof(Packet) == 128);

/// Up to 64 packets in order: what one poll yields and what each stage loops over. Owns its packets: a batch that ends
/// its life full is a leak, and aborts.
class PacketBatch {
 public:
  static constexpr std::size_t kCapacity = 64;

  PacketBatch() = default;
  PacketBatch(const PacketBatch&) = delete;
  PacketBatch& operator=(const PacketBatch&) = delete;
  ~PacketBatch() {
    if (size_ != 0) std::abort();
  }

  std::size_t size() const { return size_; }
  std::size_t room() const { return kCapacity - size_; }
  bool empty() const { return size_ == 0; }
  bool full() const { return size_ == kCapacity; }

  Packet* operator[](std::size_t i) const { return packets_[i]; }
  std::span<Packet*> packets() { return {packets_.data(), size_}; }
  std::span<Packet* const> packets() const { return {packets_.data(), size_}; }
  Packet** begin() { return packets_.data(); }
  Packet** end() { return packets_.data() + size_; }

  void push_back(Packet* packet) { packets_[size_++] = packet; }

  /// Room for `n` more packets that the caller writes itself.
  std::span<Packet*> extend(std::size_t n) {
    std::span<Packet*> added{packets_.data() + size_, n};
    size_ += n;
    return added;
  }

  void truncate(std::size_t n) { size_ = n; }

  /// The packets have another owner now.
  void released() { size_ = 0; }

 private:
  std::size_t size_ = 0;
  std::array<Packet*, kCapacity> packets_;
};

}  // namespace netrx
