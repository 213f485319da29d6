// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "netrx/error.h"
#include "netrx/packet.h"

namespace netrx {

/// Cuts a TCP or UDP packet into segments: what a device that takes no GSO packets is given, and the inverse of GRO.
/// Tunnels that GRO enters are cut inside, outer headers and all.
///
///   Result<Segmenter> cut = Segmenter::create(packet);
///   while (!cut->done()) send(buffer.first(cut->next(buffer)));      // frames, from the link header on
///
/// Each segment has the packet's headers with its own lengths, sequence number, IPv4 id and checksums. Ids count up, or
/// stay where gso_type says so; CWR is the first segment's, FIN and PSH are the last one's. A fraglist gives its
/// packets back as they were. Kernel: skb_gso_segment, tcp_gso_segment, __udp_gso_segment.
///
/// Thread rules: one thread at a time. The packet is only read, and must not change before done().
class Segmenter {
 public:
  /// `mss`: payload bytes a segment; 0: the packet's gso_size. `mac_header` and `network_header` stand at theirs,
  /// `data` at either. A tunnel's inner headers are where GRO or the device noted them. EINVAL: not TCP or UDP, no
  /// segment size, headers that are cut off or not linear. EOPNOTSUPP: UFO, or an `mss` for a fraglist.
  static Result<Segmenter> create(const Packet& packet, std::uint16_t mss = 0);

  std::uint32_t segments() const { return segments_; }  ///< in all
  bool done() const { return next_ == segments_; }
  std::uint32_t headers() const { return headers_; }          ///< bytes in front of each payload, link header included
  std::uint32_t max_size() const { return headers_ + mss_; }  ///< bytes of the longest segment

  /// Writes the next segment and returns its size; `to` has room for max_size().
  std::size_t next(std::span<std::uint8_t> to);

 private:
  struct Layer {
    enum class Kind : std::uint8_t { ipv4, ipv6, gre, udp, tcp } kind;
    std::uint16_t at;  // from the link header
  };
  friend class SegmenterSetup;

  explicit Segmenter(const Packet& packet) : packet_(&packet), part_(&packet) {}
  std::size_t next_of_list(std::span<std::uint8_t> to);
  std::uint32_t take_payload(std::span<std::uint8_t> to);
  void set_headers(std::span<std::uint8_t> frame, std::uint32_t payload_sum, bool with_checksums) const;
  void set_layer(std::span<std::uint8_t> frame, std::size_t index, std::uint32_t payload_sum,
                 bool with_checksums) const;

  const Packet* packet_;
  const Packet* part_;             // where the next payload byte is
  std::uint32_t part_offset_ = 0;  // from part_->data
  std::uint32_t mss_ = 0;
  std::uint32_t headers_ = 0;
  std::uint32_t payload_ = 0;  // bytes not given out yet
  std::uint32_t segments_ = 0;
  std::uint32_t next_ = 0;
  std::uint16_t jumbo_at_ = 0;  // a hop-by-hop header that only the big packet needs; 0: none
  std::uint8_t layer_count_ = 0;
  std::array<Layer, 5> layers_;  // outermost first
};

}  // namespace netrx
