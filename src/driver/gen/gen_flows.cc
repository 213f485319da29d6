// SPDX-License-Identifier: Apache-2.0
#include "driver/gen/gen_flows.h"

#include <cstring>
#include <span>

#include "base/prng.h"
#include "driver/gen/gen_device.h"
#include "wire/checksum.h"
#include "wire/headers.h"

namespace netrx {

namespace {

template <class T>
void put(std::uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

std::uint32_t sum_of(Be32 value) {
  const auto raw = static_cast<std::uint32_t>(value);
  return (raw & 0xffff) + (raw >> 16);
}

std::uint32_t sum_of(Be16 value) { return static_cast<std::uint16_t>(value); }

/// Writes one header after another.
struct HeaderWriter {
  GenFlow& flow;

  std::uint8_t* add(std::size_t size) {
    std::uint8_t* at = flow.header.data() + flow.header_size;
    flow.header_size = static_cast<std::uint8_t>(flow.header_size + size);
    return at;
  }

  void ethernet(const GenOptions& options) {
    std::uint8_t* at = add(12);
    put(at, kGenAddress);
    put(at + 6, kGenPeerAddress);
    if (options.vlan != 0) {
      at = add(4);
      put(at, kEthP8021q);
      put(at + 2, to_be16(options.vlan));
    }
    put(add(2), flow.ipv6 ? kEthPIpv6 : kEthPIp);
    flow.l3 = flow.header_size;
  }

  /// Every flow has a source address of its own, so that no two are the same whatever their ports.
  void ipv4(std::uint32_t number, std::uint32_t server) {
    std::uint8_t* at = add(wire::Ipv4View::kSize);
    at[0] = 0x45;
    at[6] = 0x40;  // don't fragment
    at[8] = 64;
    at[9] = flow.tcp ? wire::kIpProtoTcp : wire::kIpProtoUdp;
    put(at + 12, to_be32(0x0a000000 | (number + 1)));        // 10.0.0.0/8
    put(at + 16, to_be32(0xc0000200 | (server % 254 + 1)));  // 192.0.2.0/24
    flow.ip_sum = wire::csum_partial({at, wire::Ipv4View::kSize});
    flow.l4_sum = wire::csum_pseudo_header({at + 12, 8}, at[9], 0);
  }

  void ipv6_header(std::uint32_t number, std::uint32_t server) {
    std::uint8_t* at = add(wire::Ipv6View::kSize);
    at[0] = 0x60;
    at[6] = flow.tcp ? wire::kIpProtoTcp : wire::kIpProtoUdp;
    at[7] = 64;
    put(at + 8, to_be32(0x20010db8));  // 2001:db8::/32
    put(at + 20, to_be32(number + 1));
    put(at + 24, to_be32(0x20010db8));
    put(at + 30, to_be16(1));
    put(at + 36, to_be32(server % 254 + 1));
    flow.l4_sum = wire::csum_pseudo_header({at + 8, 32}, at[6], 0);
  }

  void transport(std::uint16_t src_port, std::uint16_t dst_port) {
    flow.l4 = flow.header_size;
    std::uint8_t* at = add(flow.tcp ? wire::TcpView::kSize : wire::UdpView::kSize);
    put(at, to_be16(src_port));
    put(at + 2, to_be16(dst_port));
    if (flow.tcp) {
      put(at + 8, to_be32(1));
      at[12] = 5 << 4;
      at[13] = wire::TcpView::kAck;
      put(at + 14, to_be16(0xffff));
    }
    flow.l4_sum = wire::csum_partial({at, static_cast<std::size_t>(flow.header_size - flow.l4)}, flow.l4_sum);
    flow.l4_sum = wire::csum_add(flow.l4_sum, sum_of(to_be32(flow.number)));
  }
};

/// Every draw is made for every flow, so that a key changes only what it is about.
GenFlow make_flow(const GenOptions& options, std::uint32_t number, Prng& prng) {
  const std::uint64_t random = prng.next();
  const bool coin = (random & 1) != 0;
  GenFlow flow{};
  flow.number = number;
  flow.ipv6 =
      std::uint64_t{number + 1} * options.ipv6_percent / 100 != std::uint64_t{number} * options.ipv6_percent / 100;
  flow.tcp = options.proto == GenOptions::Proto::tcp || (options.proto == GenOptions::Proto::mix && coin);
  flow.tcp_sequence = static_cast<std::uint32_t>(prng.next());
  HeaderWriter writer{flow};
  writer.ethernet(options);
  const auto server = static_cast<std::uint32_t>(random >> 1 & 0xff);
  if (flow.ipv6)
    writer.ipv6_header(number, server);
  else
    writer.ipv4(number, server);
  constexpr std::array<std::uint16_t, 8> kServices{53, 80, 123, 443, 3478, 4433, 5060, 6379};
  writer.transport(static_cast<std::uint16_t>(1024 + (random >> 16 & 0xffff) % 64000), kServices[random >> 9 & 7]);
  return flow;
}

}  // namespace

std::vector<GenFlow> make_gen_flows(const GenOptions& options) {
  Prng prng(options.seed);
  std::vector<GenFlow> flows;
  flows.reserve(options.flows);
  for (std::uint32_t i = 0; i < options.flows; ++i) flows.push_back(make_flow(options, i, prng));
  return flows;
}

std::uint16_t place_flow(const Rss& rss, GenFlow& flow) {
  const RssChoice choice = rss.choose_ethernet({flow.header.data(), flow.header_size});
  flow.hash = choice.hash.hash;
  flow.l4_hash = choice.hash.l4;
  return choice.queue;
}

void write_gen_frame(const GenFlow& flow, const GenTicket& ticket, std::uint8_t* to) {
  std::memcpy(to, flow.header.data(), flow.header_size);
  const GenPayload payload{to_be32(ticket.sequence), to_be32(flow.number)};
  put(to + flow.header_size, payload);
  const std::uint32_t written = flow.header_size + static_cast<std::uint32_t>(sizeof payload);
  std::memset(to + written, 0, ticket.size - written);

  const Be16 l4_length = to_be16(static_cast<std::uint16_t>(ticket.size - flow.l4));
  if (flow.ipv6) {
    put(to + flow.l3 + 4, l4_length);
  } else {
    const Be16 length = to_be16(static_cast<std::uint16_t>(ticket.size - flow.l3));
    const Be16 id = to_be16(static_cast<std::uint16_t>(ticket.sequence));
    put(to + flow.l3 + 2, length);
    put(to + flow.l3 + 4, id);
    put(to + flow.l3 + 10, wire::csum_fold(wire::csum_add(flow.ip_sum, sum_of(length) + sum_of(id))));
  }

  std::uint32_t sum = sum_of(l4_length) + sum_of(payload.sequence);
  if (flow.tcp) {
    const Be32 sequence = to_be32(ticket.tcp_sequence);
    put(to + flow.l4 + 4, sequence);
    put(to + flow.l4 + 16, wire::csum_fold(wire::csum_add(flow.l4_sum, sum + sum_of(sequence))));
  } else {
    put(to + flow.l4 + 4, l4_length);
    sum += sum_of(l4_length);
    const Be16 checksum = wire::csum_fold(wire::csum_add(flow.l4_sum, sum));
    put(to + flow.l4 + 6, checksum == Be16{} ? Be16{0xffff} : checksum);
  }
}

}  // namespace netrx
