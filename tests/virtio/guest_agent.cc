// SPDX-License-Identifier: Apache-2.0
// Runs inside the guest (guest.py puts it there), linked statically, against the kernel's own interfaces only: it is
// the judge of what netrx gives the guest's driver.
//
//   guest_agent receive IF COUNT    takes COUNT frames; prints how many, their bytes, and for each EtherType a CRC-32
//                                   over lengths and frames. (Within one NAPI poll the kernel shows a packet socket
//                                   those that have another reader first: only within a type are they in order.)
//   guest_agent echo IF COUNT       sends COUNT numbered frames to whoever sends them back; prints how many came back
//                                   intact and in order
//
// Both bring the interface up once they listen. Without a frame for 5 s they give up: what they print tells.
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

namespace {

constexpr std::uint16_t kExperimental = 0x88b5;  // an EtherType for experiments
constexpr int kPatience = 5000;
constexpr std::size_t kMostFrame = 65'550;

void require(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::exit(1);
}

/// A packet socket on an interface, which it brings up after it began to listen.
class Tap {
 public:
  // Not bound to the interface: while that is down, the kernel would not show its frames yet.
  Tap(const char* name, std::uint16_t protocol)
      : fd_(socket(AF_PACKET, SOCK_RAW, htons(protocol))), index_(static_cast<int>(if_nametoindex(name))) {
    require(fd_ >= 0, "packet socket");
    require(index_ != 0, name);
    const int bytes = 96 << 20, on = 1;
    require(setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) == 0, "SO_RCVBUFFORCE");
    require(setsockopt(fd_, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) == 0, "PACKET_AUXDATA");
    ifreq request{};
    std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    ethtool_value no_gro{.cmd = ETHTOOL_SGRO, .data = 0};  // packet sockets would see merged frames
    request.ifr_data = reinterpret_cast<char*>(&no_gro);
    require(ioctl(fd_, SIOCETHTOOL, &request) == 0, "ETHTOOL_SGRO");
    require(ioctl(fd_, SIOCGIFFLAGS, &request) == 0, "SIOCGIFFLAGS");
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    require(ioctl(fd_, SIOCSIFFLAGS, &request) == 0, "SIOCSIFFLAGS");
  }

  void send(const std::uint8_t* frame, std::size_t bytes) {
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = index_;
    const ssize_t sent = sendto(fd_, frame, bytes, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    require(sent == static_cast<ssize_t>(bytes), "send");
  }

  /// The next frame from outside, its VLAN tag where it was on the wire; 0 bytes: none came for so long.
  std::size_t receive(std::array<std::uint8_t, kMostFrame>& frame, int patience) {
    for (;;) {
      pollfd one{.fd = fd_, .events = POLLIN, .revents = 0};
      if (poll(&one, 1, patience) <= 0) return 0;
      iovec data{.iov_base = frame.data(), .iov_len = frame.size() - 4};
      sockaddr_ll from{};
      alignas(cmsghdr) std::array<std::uint8_t, 256> more;
      msghdr message{};
      message.msg_name = &from;
      message.msg_namelen = sizeof from;
      message.msg_iov = &data;
      message.msg_iovlen = 1;
      message.msg_control = more.data();
      message.msg_controllen = more.size();
      const ssize_t got = recvmsg(fd_, &message, MSG_DONTWAIT);
      if (got <= 0 || from.sll_ifindex != index_ || from.sll_pkttype == PACKET_OUTGOING) continue;
      return put_tag_back(frame, static_cast<std::size_t>(got), message);
    }
  }

  /// Frames that the socket had no room for.
  unsigned dropped() const {
    tpacket_stats stats{};
    socklen_t bytes = sizeof stats;
    require(getsockopt(fd_, SOL_PACKET, PACKET_STATISTICS, &stats, &bytes) == 0, "PACKET_STATISTICS");
    return stats.tp_drops;
  }

 private:
  static std::size_t put_tag_back(std::array<std::uint8_t, kMostFrame>& frame, std::size_t bytes, msghdr& message) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
      if (part->cmsg_level != SOL_PACKET || part->cmsg_type != PACKET_AUXDATA) continue;
      tpacket_auxdata about;
      std::memcpy(&about, CMSG_DATA(part), sizeof about);
      if ((about.tp_status & TP_STATUS_VLAN_VALID) == 0) continue;
      std::memmove(frame.data() + 16, frame.data() + 12, bytes - 12);
      const std::uint16_t protocol =
          htons((about.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? about.tp_vlan_tpid : ETH_P_8021Q);
      const std::uint16_t tag = htons(about.tp_vlan_tci);
      std::memcpy(frame.data() + 12, &protocol, sizeof protocol);
      std::memcpy(frame.data() + 14, &tag, sizeof tag);
      return bytes + 4;
    }
    return bytes;
  }

  const int fd_;
  const int index_;
};

/// As zlib's crc32().
class Crc32 {
 public:
  Crc32() {
    for (std::uint32_t i = 0; i < table_.size(); ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320u : 0u);
      table_[i] = value;
    }
  }
  void add(const std::uint8_t* bytes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) state_ = (state_ >> 8) ^ table_[(state_ ^ bytes[i]) & 0xff];
  }
  std::uint32_t value() const { return ~state_; }

 private:
  std::array<std::uint32_t, 256> table_;
  std::uint32_t state_ = ~0u;
};

std::array<std::uint8_t, kMostFrame> frame;

int receive(const char* interface, unsigned long count) {
  Tap tap(interface, ETH_P_ALL);
  std::map<unsigned, Crc32> crcs;
  unsigned long frames = 0, bytes = 0;
  while (frames < count) {
    const std::size_t got = tap.receive(frame, kPatience);
    if (got == 0) break;
    const auto length = static_cast<std::uint32_t>(got);
    Crc32& crc = crcs[frame[12] * 256u + frame[13]];
    crc.add(reinterpret_cast<const std::uint8_t*>(&length), sizeof length);
    crc.add(frame.data(), got);
    ++frames;
    bytes += got;
  }
  std::printf("frames=%lu bytes=%lu dropped=%u", frames, bytes, tap.dropped());
  for (const auto& [type, crc] : crcs) std::printf(" %04x:%08x", type, crc.value());
  std::puts("");
  return 0;
}

/// Writes frame `number` and returns its length.
std::size_t write_frame(std::uint64_t number, std::array<std::uint8_t, kMostFrame>& to) {
  const std::size_t bytes = 60 + number * 37 % 1455;
  for (std::size_t i = 22; i < bytes; ++i) to[i] = static_cast<std::uint8_t>(number + i);
  std::memset(to.data(), 2, 12);
  to[12] = kExperimental >> 8;
  to[13] = kExperimental & 0xff;
  std::memcpy(to.data() + 14, &number, sizeof number);
  return bytes;
}

int echo(const char* interface, std::uint64_t count) {
  constexpr std::uint64_t kUnderWay = 64;
  Tap tap(interface, kExperimental);
  static std::array<std::uint8_t, kMostFrame> expected;
  std::uint64_t sent = 0, back = 0;
  while (back < count) {
    for (; sent < count && sent - back < kUnderWay; ++sent) tap.send(frame.data(), write_frame(sent, frame));
    const std::size_t got = tap.receive(frame, kPatience);
    const std::size_t bytes = write_frame(back, expected);
    if (got != bytes || std::memcmp(frame.data(), expected.data(), bytes) != 0) break;
    ++back;
  }
  std::printf("sent=%lu back=%lu\n", sent, back);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc == 4 ? argv[1] : "";
  if (what == "receive") return receive(argv[2], std::strtoul(argv[3], nullptr, 10));
  if (what == "echo") return echo(argv[2], std::strtoul(argv[3], nullptr, 10));
  std::fputs("usage: guest_agent receive|echo INTERFACE COUNT\n", stderr);
  return 2;
}
