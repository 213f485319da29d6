// SPDX-License-Identifier: Apache-2.0
//
// What a VPN or a proxy does between its tunnel and a TUN device: bursts of small IP packets come in, few large ones go
// out, each behind the virtio_net_hdr that says how to cut it again. No engine, no threads, no devices: GRO on buffers
// of one's own.
//
//   coalesce_to_tun CAPTURE        here the tunnel is a capture, and the TUN device is a buffer that is checked and
//   counted
#include <pcap/pcap.h>

#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "netrx/ethertype.h"
#include "netrx/gro.h"
#include "netrx/gso.h"
#include "netrx/packet_bytes.h"
#include "netrx/virtio_net_hdr.h"

using namespace netrx;

namespace {

constexpr std::size_t kBurst = 64;     // what one read from a tunnel brings
constexpr std::size_t kRoom = 64;      // in front of each packet; BIG TCP over IPv6 would need 8 bytes of it
constexpr std::size_t kEthernet = 14;  // a capture has it, a TUN device does not

/// Buffers as a tunnel would have decrypted into.
class Burst {
 public:
  /// False: not an IP packet.
  bool add(const std::uint8_t* frame, std::size_t size) {
    const Be16 type = load_unaligned<Be16>(frame + 12);
    if (size <= kEthernet || (type != kEthPIp && type != kEthPIpv6)) return false;
    std::vector<std::uint8_t>& buffer = buffers_.emplace_back(kRoom + size - kEthernet);
    std::memcpy(buffer.data() + kRoom, frame + kEthernet, size - kEthernet);
    Packet& packet = packets_.emplace_back();
    packet.head = buffer.data();
    packet.buffer_size = static_cast<std::uint32_t>(buffer.size());
    packet.data = packet.head + kRoom;
    packet.len = static_cast<std::uint32_t>(size - kEthernet);
    packet.mac_header = packet.network_header = kRoom;
    packet.protocol = type;
    return true;
  }
  std::deque<Packet>& packets() { return packets_; }
  void clear() {
    packets_.clear();
    buffers_.clear();
  }

 private:
  std::deque<std::vector<std::uint8_t>> buffers_;
  std::deque<Packet> packets_;
};

struct Totals {
  std::size_t in = 0, out = 0, bytes = 0, back = 0;
};

/// The role of write() to a TUN device with IFF_VNET_HDR: one buffer, header first.
class Tun {
 public:
  void write(const Packet& packet, Totals& totals) {
    VirtioNetHdr header;
    // A tunnel's packets have no name in the header, and a device that takes no large packets gets none: cut again.
    const bool whole = virtio_net_hdr_from_packet(packet, header);
    if (whole) {
      buffer_.resize(sizeof header + packet.len);
      std::memcpy(buffer_.data(), &header, sizeof header);
      copy_bits(packet, 0, std::span(buffer_).subspan(sizeof header));
      totals.out += 1;
      totals.bytes += packet.len;
    }
    const std::size_t segments = packet.gso_size == 0 ? 1 : cut(packet, whole ? nullptr : &totals);
    totals.back += segments;
  }

 private:
  /// Cuts a packet and counts its segments; with `totals` they are what is written.
  std::size_t cut(const Packet& packet, Totals* totals) {
    Result<Segmenter> segments = Segmenter::create(packet);
    if (!segments) return 0;
    buffer_.resize(sizeof(VirtioNetHdr) + segments->max_size());
    std::memset(buffer_.data(), 0, sizeof(VirtioNetHdr));  // nothing left to do for anybody
    while (!segments->done()) {
      const std::size_t size = segments->next(std::span(buffer_).subspan(sizeof(VirtioNetHdr)));
      if (totals == nullptr) continue;
      totals->out += 1;
      totals->bytes += size;
    }
    return segments->segments();
  }

  std::vector<std::uint8_t> buffer_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: coalesce_to_tun CAPTURE\n");
    return 2;
  }
  char why[PCAP_ERRBUF_SIZE];
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> capture(pcap_open_offline(argv[1], why), pcap_close);
  if (capture == nullptr || pcap_datalink(capture.get()) != DLT_EN10MB) {
    std::fprintf(stderr, "coalesce_to_tun: %s\n", capture == nullptr ? why : "not an Ethernet capture");
    return 2;
  }
  const Result<std::unique_ptr<Gro>> gro = Gro::create({.udp_forwarding = true});
  if (!gro) {
    std::fprintf(stderr, "coalesce_to_tun: %s\n", gro.error().text.c_str());
    return 1;
  }

  Burst burst;
  Totals totals;
  Tun tun;
  const auto finish_burst = [&] {
    for (Packet& packet : burst.packets()) (*gro)->receive(packet);
    (*gro)->flush();
    for (const Packet* packet : (*gro)->take()) tun.write(*packet, totals);
    burst.clear();
  };
  pcap_pkthdr header;
  while (const u_char* frame = pcap_next(capture.get(), &header)) {
    totals.in += burst.add(frame, header.caplen);
    if (burst.packets().size() == kBurst) finish_burst();
  }
  finish_burst();

  std::printf("%zu IP packets in, %zu out (%.2f segments each), %zu bytes; cut again: %zu\n", totals.in, totals.out,
              static_cast<double>(totals.in) / static_cast<double>(totals.out == 0 ? 1 : totals.out), totals.bytes,
              totals.back);
  return totals.back == totals.in && totals.in != 0 ? 0 : 1;
}
