// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/prng.h"
#include "wire/frame_builder.h"

namespace netrx::wire {

/// A frame with any stack of headers the builder knows, most of them meaningful, for property tests. The same seed
/// gives the same frame.
inline Frame random_frame(Prng& prng) {
  FrameBuilder b;
  const auto v4 = [&] { return Ip4(0x0a000000u + static_cast<std::uint32_t>(prng.below(4))); };
  const auto v6 = [&] { return Ip6(Ip6("fd00::"), static_cast<std::uint32_t>(prng.below(4))); };
  const auto port = [&] { return static_cast<unsigned>(prng.below(65536)); };
  const auto word = [&] { return static_cast<std::uint32_t>(prng.next()); };
  b.eth();
  for (std::uint64_t left = prng.between(1, 8); left > 0; --left) {
    switch (prng.below(24)) {
      case 0:
      case 1:
        b.vlan(static_cast<unsigned>(prng.below(4096)), static_cast<unsigned>(prng.below(8)),
               prng.below(2) == 0 ? kEthP8021q : kEthP8021ad);
        break;
      case 2:
      case 3:
      case 4:
        b.ipv4(v4(), v4(),
               {.more_fragments = prng.below(8) == 0,
                .fragment_offset = static_cast<std::uint16_t>(prng.below(8) == 0 ? prng.below(0x2000) : 0),
                .options = std::vector<std::uint8_t>(prng.below(4) == 0 ? prng.below(41) : 0)});
        break;
      case 5:
      case 6:
      case 7:
        b.ipv6(v6(), v6(), {.flow_label = static_cast<std::uint32_t>(prng.below(6) == 0 ? prng.below(0x100000) : 0)});
        break;
      case 8: b.hop_by_hop(static_cast<std::uint8_t>(prng.below(4))); break;
      case 9: b.routing(static_cast<std::uint8_t>(prng.below(4))); break;
      case 10: b.dest_opts(static_cast<std::uint8_t>(prng.below(4))); break;
      case 11: b.ipv6_fragment(static_cast<unsigned>(prng.below(3)), prng.below(2) == 0); break;
      case 12:
        b.gre({.csum = prng.below(2) == 0,
               .key = prng.below(2) == 0 ? std::int64_t{word()} : -1,
               .seq = prng.below(2) == 0 ? 7 : -1,
               .ack = prng.below(4) == 0 ? 8 : -1,
               .more_flags = static_cast<std::uint16_t>(prng.below(8) == 0 ? prng.below(0x10000) : 0)});
        break;
      case 13:
        b.gre({.key = word(), .seq = prng.below(2) == 0 ? 7 : -1, .ack = prng.below(2) == 0 ? 8 : -1, .more_flags = 1})
            .ppp();
        break;
      case 14: b.gre().eth(); break;
      case 15: b.pppoe(); break;
      case 16: b.batman().eth(); break;
      case 17: b.hsr(prng.below(2) == 0 ? kEthPHsr : kEthPPrp); break;
      case 18: b.tipc(word(), prng.below(2) == 0); break;
      case 19: b.tcp(port(), port()); break;
      case 20: b.udp(port(), port()); break;
      case 21: b.ah(word()); break;
      case 22: {
        constexpr std::array<std::uint8_t, 8> kProtocols{33, 50, 132, 136, 0, 43, 44, 60};
        b.ports(kProtocols[prng.below(kProtocols.size())], port(), port());
        break;
      }
      default: b.mpls(word() >> 12);
    }
  }
  return b.payload(prng.below(40)).build();
}

/// Changes up to three bytes, or cuts the frame short, or both.
inline Frame damaged(Frame frame, Prng& prng) {
  for (std::uint64_t left = prng.below(4); left > 0; --left) {
    frame.bytes[prng.below(frame.size())] = static_cast<std::uint8_t>(prng.next());
  }
  return prng.below(3) == 0 ? frame.cut(prng.below(frame.size() + 1)) : frame;
}

}  // namespace netrx::wire
