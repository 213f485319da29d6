// SPDX-License-Identifier: Apache-2.0
#include "driver/af_packet/packet_socket.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>

#include "driver/live/interface.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

namespace netrx {

namespace {

template <class Value>
Result<void> set_option(int fd, int option, const Value& value, const std::string& what) {
  if (setsockopt(fd, SOL_PACKET, option, &value, sizeof value) == 0) return {};
  return fail(errno, what + ": " + errno_text(errno));
}

Result<OwnedFd> open_socket() {
  OwnedFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.valid()) return fd;
  const int code = errno;
  std::string text = "packet socket: " + errno_text(code);
  if (code == EPERM || code == EACCES)
    text +=
        "; needs CAP_NET_RAW: run as root, or give it to the program (setcap cap_net_raw+ep); a tap made for this "
        "user needs no capability";
  else if (code == EAFNOSUPPORT)
    text += "; the kernel has no AF_PACKET (CONFIG_PACKET); a tap device needs none";
  return fail(code, text);
}

Result<void> bind_to(int fd, const std::string& interface, int protocol) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(static_cast<std::uint16_t>(protocol));
  address.sll_ifindex = static_cast<int>(interface_index(interface));
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return {};
  return fail(errno, interface + ": bind: " + errno_text(errno));
}

Result<Mapping> map_ring(int fd, const PacketRequest& request) {
  tpacket_req3 ring{};
  ring.tp_block_size = PacketRequest::kBlockSize;
  ring.tp_block_nr = request.blocks;
  ring.tp_frame_size = TPACKET_ALIGNMENT << 7;
  ring.tp_frame_nr = ring.tp_block_size / ring.tp_frame_size * ring.tp_block_nr;
  ring.tp_retire_blk_tov = request.block_timeout_ms;
  ring.tp_feature_req_word = request.rxhash ? TP_FT_REQ_FILL_RXHASH : 0;
  const std::string text = request.interface + ": a ring of " + std::to_string(request.blocks) + " blocks of 256 KiB";
  if (const auto ok = set_option(fd, PACKET_RX_RING, ring, text); !ok)
    return fail(ok.error().code, ok.error().text + "; give fewer: blocks=N");
  const std::size_t size = std::size_t{ring.tp_block_size} * ring.tp_block_nr;
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return fail(errno, text + ": " + errno_text(errno) + "; give fewer: blocks=N");
  return Mapping(at, size);
}

Result<PacketRing> open_ring(const PacketRequest& request) {
  auto fd = open_socket();
  if (!fd) return std::unexpected(fd.error());
  const int version = TPACKET_V3, on = 1;
  if (const auto ok = set_option(fd->get(), PACKET_VERSION, version, "TPACKET_V3"); !ok)
    return std::unexpected(ok.error());
  if (const auto ok = set_option(fd->get(), PACKET_VNET_HDR, on, "PACKET_VNET_HDR"); !ok)
    return std::unexpected(ok.error());
  // Before Linux 4.20 there is no such option; what is sent out there is recognised by its type.
  (void)set_option(fd->get(), PACKET_IGNORE_OUTGOING, on, {});
  auto blocks = map_ring(fd->get(), request);
  if (!blocks) return std::unexpected(blocks.error());
  if (const auto ok = bind_to(fd->get(), request.interface, ETH_P_ALL); !ok) return std::unexpected(ok.error());
  if (request.promiscuous) {
    packet_mreq membership{};
    membership.mr_ifindex = static_cast<int>(interface_index(request.interface));
    membership.mr_type = PACKET_MR_PROMISC;
    if (const auto ok = set_option(fd->get(), PACKET_ADD_MEMBERSHIP, membership, "promisc=on"); !ok)
      return std::unexpected(ok.error());
  }
  return PacketRing{std::move(*fd), std::move(*blocks)};
}

/// Makes the rings a group that frames are spread over. Kernel: PACKET_FANOUT.
Result<void> join(const PacketRequest& request, const std::vector<PacketRing>& rings) {
  std::uint32_t group = 0;
  for (std::size_t i = 0; i < rings.size(); ++i) {
    std::uint32_t mode = static_cast<std::uint32_t>(request.fanout);
    if (i == 0) mode |= PACKET_FANOUT_FLAG_UNIQUEID;
    const std::uint32_t argument = group | mode << 16;
    if (const auto ok = set_option(rings[i].fd.get(), PACKET_FANOUT, argument, request.interface + ": fanout"); !ok)
      return fail(ok.error().code,
                  ok.error().text + (interface_is_up(request.interface)
                                         ? "; leave queues=1"
                                         : "; bring it up first: ip link set " + request.interface + " up"));
    socklen_t size = sizeof group;
    if (i == 0) getsockopt(rings[0].fd.get(), SOL_PACKET, PACKET_FANOUT, &group, &size);
    group &= 0xffff;
  }
  return {};
}

}  // namespace

Mapping::~Mapping() {
  if (at_ != nullptr) munmap(at_, size_);
}

Result<std::vector<PacketRing>> open_packet_rings(const PacketRequest& request) {
  if (interface_index(request.interface) == 0) return no_such_interface(request.interface);
  std::vector<PacketRing> rings;
  for (std::size_t i = 0; i < request.queues; ++i) {
    auto ring = open_ring(request);
    if (!ring) return std::unexpected(ring.error());
    rings.push_back(std::move(*ring));
  }
  if (request.queues > 1)
    if (const auto ok = join(request, rings); !ok) return std::unexpected(ok.error());
  return rings;
}

Result<OwnedFd> open_packet_sender(const std::string& interface, bool qdisc_bypass) {
  if (interface_index(interface) == 0) return no_such_interface(interface);
  auto fd = open_socket();
  if (!fd) return fd;
  const int on = 1, buffer = 4 << 20;
  if (const auto ok = set_option(fd->get(), PACKET_VNET_HDR, on, "PACKET_VNET_HDR"); !ok)
    return std::unexpected(ok.error());
  if (qdisc_bypass)
    if (const auto ok = set_option(fd->get(), PACKET_QDISC_BYPASS, on, "qdisc_bypass=on"); !ok)
      return std::unexpected(ok.error());
  // The larger of what may be asked for; a smaller one only makes the queue full earlier.
  if (setsockopt(fd->get(), SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer) != 0)
    setsockopt(fd->get(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  if (const auto ok = bind_to(fd->get(), interface, 0); !ok) return std::unexpected(ok.error());
  return fd;
}

bool packet_socket_is_bound(int fd) {
  sockaddr_ll address{};
  socklen_t size = sizeof address;
  return getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0 && address.sll_ifindex > 0;
}

}  // namespace netrx
