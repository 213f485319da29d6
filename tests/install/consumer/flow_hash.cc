// SPDX-License-Identifier: Apache-2.0
// A user's program, built against the installed library only: reads one frame's flow and hashes it both ways.

#include <netrx/ethertype.h>
#include <netrx/flow.h>

#include <array>
#include <cstdint>
#include <cstdio>

int main() {
  // IPv4, UDP, 66.9.149.187:2794 to 161.142.100.80:1766; the first row of the published RSS verification suite.
  constexpr std::array<std::uint8_t, 28> kFrame{0x45, 0,   0,   28,  0,   0,  0,    0,    64,   17,   0, 0, 66, 9,
                                                149,  187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6, 0, 8, 0,  0};
  const netrx::FlowInput frame{.data = kFrame.data(), .len = kFrame.size(), .protocol = netrx::kEthPIp};

  netrx::FlowKeys keys;
  const bool good = netrx::dissect(frame, keys) == netrx::Dissected::good;
  std::printf("dissected %s, protocol %u, ports %u and %u\n", good ? "well" : "badly", keys.ip_proto,
              netrx::to_host(keys.src_port), netrx::to_host(keys.dst_port));

  const netrx::FlowHash card = netrx::FlowHasher(netrx::Toeplitz()).hash(frame);
  const netrx::FlowHash kernel = netrx::FlowHasher(netrx::SipHash({.k0 = 1, .k1 = 2})).hash(frame);
  std::printf("toeplitz %08x, siphash %s\n", card.hash, kernel.l4 && kernel.hash != 0 ? "set" : "missing");
  return good && card.hash == 0x51ccc178 && kernel.l4 ? 0 : 1;
}
