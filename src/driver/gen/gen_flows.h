// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "driver/gen/gen_options.h"
#include "driver/rss.h"
#include "netrx/packet.h"

namespace netrx {

/// One flow of the generator: its headers ready to copy, and the sums its checksums start from.
struct alignas(64) GenFlow {
  static constexpr std::size_t kMaxHeader = 14 + 4 + 40 + 20;

  std::array<std::uint8_t, kMaxHeader> header;  ///< lengths, checksums and sequence numbers 0
  std::uint8_t header_size = 0;
  std::uint8_t l3 = 0;  ///< where the IP header starts
  std::uint8_t l4 = 0;  ///< where the TCP or UDP header starts
  bool ipv6 = false;
  bool tcp = false;
  bool l4_hash = false;
  std::uint32_t hash = 0;      ///< RSS
  std::uint32_t ip_sum = 0;    ///< IPv4 header
  std::uint32_t l4_sum = 0;    ///< pseudo header, transport header, flow number in the payload
  std::uint32_t number = 0;    ///< of all the device's flows, heaviest first
  std::uint32_t sequence = 0;  ///< of the next frame
  std::uint32_t tcp_sequence = 0;
};
static_assert(sizeof(GenFlow) == 128);

/// What every generated payload starts with, both in network byte order. The rest is zeros.
struct GenPayload {
  Be32 sequence;  ///< frames of this flow sent before this one, modulo 2^32
  Be32 flow;      ///< the flow's number
};

/// One frame on its way into a queue: drawn when it arrives, written when it is received.
struct GenTicket {
  std::uint32_t flow;  ///< index into the queue's flows
  std::uint32_t size;
  std::uint32_t sequence;
  std::uint32_t tcp_sequence;
};

/// Bytes of the smallest frame that `flow` can send.
inline std::uint32_t smallest_frame(const GenFlow& flow) {
  const std::uint32_t bytes = flow.header_size + static_cast<std::uint32_t>(sizeof(GenPayload));
  return bytes < 60 ? 60 : bytes;
}

/// The flows of a generator, heaviest first, a function of the options alone.
std::vector<GenFlow> make_gen_flows(const GenOptions& options);

/// Which queue `flow` belongs to; fills in its hash.
std::uint16_t place_flow(const Rss& rss, GenFlow& flow);

/// Writes the frame of `ticket.size` bytes to `to`: lengths, sequence numbers and checksums are right.
void write_gen_frame(const GenFlow& flow, const GenTicket& ticket, std::uint8_t* to);

}  // namespace netrx
