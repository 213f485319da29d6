// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "netrx/error.h"
#include "netrx/packet.h"
#include "netrx/trace.h"

namespace netrx {

/// Why a packet was not merged into a held one, or not held itself. The first rule that applies, in the order of
/// docs/path/3-gro.md.
enum class GroRefusal : std::uint8_t {
  kNone,  ///< merged, or held because nothing of its flow was
  // The packet goes up alone, and a held packet of its flow stays where it is: the kernel may reorder here.
  kOff,           ///< the device's rx-gro is off
  kNotOffloaded,  ///< an EtherType or IP protocol without GRO
  kHeaderCut,     ///< the frame ends inside a header
  kIpOptions,     ///< IPv4 options, or not version 4
  kFragment,      ///< an IP fragment
  kIpChecksum,    ///< the IPv4 header checksum is wrong
  kTcpHeader,     ///< the TCP header's length is impossible
  kL4Checksum,    ///< the TCP, UDP or GRE checksum is wrong
  kGreFlags,      ///< GRE with routing, sequence numbers or a version
  kTunnelNested,  ///< a tunnel within a tunnel
  kTunnelCsum,    ///< a UDP tunnel whose checksum nobody has verified
  kUdpOff,        ///< nobody asked for UDP to be merged: no switch, no socket
  kUdpNoCsum,     ///< UDP without a checksum
  kUdpLength,     ///< the UDP length is not that of the datagram, or it is empty
  kTooDeep,       ///< more than 15 headers
  kCsumState,     ///< fraglist: what is known of the checksums differs
  // The packet goes up alone, behind the held packet of its flow.
  kIpLength,    ///< the IP length is not that of the frame: padding, or cut off
  kIpReserved,  ///< IPv4's reserved bit
  kFraglist,    ///< it comes with a frag_list
  kGso,         ///< a GSO packet that a device made and nobody checked, or not of TCP
  // The held packet goes up, and this one is held in its place (or goes up too, when its flags say so).
  kCwr,            ///< TCP: the congestion window was reduced
  kFlagsOrWindow,  ///< TCP: other flags than FIN and PSH differ, or the header length, or the window
  kAck,            ///< TCP: another acknowledgment
  kOptions,        ///< TCP: options differ, timestamps among them
  kTtl,            ///< TTL or hop limit differ
  kTos,            ///< TOS or traffic class differ: DSCP and ECN
  kDf,             ///< one may be fragmented, the other not
  kIpId,           ///< IPv4 ids do not continue
  kGsoSize,        ///< a GSO packet of another segment size
  kLonger,         ///< longer than the first segment
  kEmpty,          ///< TCP: no payload, a pure ACK
  kSequence,       ///< TCP: not the next byte: a gap, a duplicate
  kMode,           ///< one is for a fraglist, the other not
  kSegments,       ///< fraglist: 64 segments are held already
  kMaxSize,        ///< the aggregate would reach gro_max_size, or 65536 where a larger one can't be described
  // It found nothing held and is not held itself.
  kFlags,  ///< TCP: URG, PSH, RST, SYN or FIN end a flow's aggregate, and none began
  kCount
};
inline constexpr std::size_t kGroRefusals = static_cast<std::size_t>(GroRefusal::kCount);

/// As in the counters and `netrx run`.
std::string_view name(GroRefusal refusal);
/// One line for a person.
std::string_view text(GroRefusal refusal);

/// A local port that changes what GRO does with packets to it. Kernel: a socket with encap_type, or with UDP_GRO.
struct GroEndpoint {
  enum class Kind : std::uint8_t {
    vxlan,    ///< a VXLAN tunnel ends here: inner frames are merged
    geneve,   ///< a GENEVE tunnel ends here
    udp_gro,  ///< a UDP socket with UDP_GRO: its datagrams are merged as segments
    udp,      ///< a UDP socket without: rx-udp-gro-forwarding does not apply to its datagrams
    tcp,      ///< an established TCP socket: rx-gro-list does not apply to its segments
  };
  Kind kind;
  std::uint16_t port;
  bool operator==(const GroEndpoint&) const = default;
};

/// What GRO goes by outside an engine. The kernel's defaults.
struct GroOptions {
  bool fraglist = false;        ///< Kernel: rx-gro-list
  bool udp_forwarding = false;  ///< UDP is merged without a socket that asked for it. Kernel: rx-udp-gro-forwarding
  std::uint32_t gro_max_size = 65536;       ///< bytes from the network header on, IPv6; at most 524280
  std::uint32_t gro_ipv4_max_size = 65536;  ///< the same for IPv4
  std::uint8_t max_skb_frags = 17;
  bool in_order = false;           ///< what may overtake held packets of its flow pushes them out first
  std::uint32_t flow_buckets = 0;  ///< 0: the kernel's 8, chosen by Packet::hash; 8 to 64, a power of two: by flow
  std::vector<GroEndpoint> endpoints{};
};

/// GRO alone, on packets of the caller's own: for tunnels, proxies and anything else that sees segments. The engine's
/// GRO stage is the same code.
///
///   auto gro = Gro::create({});
///   for (Packet& packet : arrived) (*gro)->receive(packet);      // data at the network header, protocol set
///   (*gro)->flush();                                             // the end of a burst
///   for (Packet* packet : (*gro)->take()) send(*packet);         // each with what was merged into it in its frags
///
/// Packets are the caller's memory: what was given comes out of take(), itself or as a frag of another.
/// Thread rules: one thread at a time.
class Gro {
 public:
  /// EINVAL, with what to write instead: an option out of its range.
  static Result<std::unique_ptr<Gro>> create(const GroOptions& options);
  ~Gro();
  Gro(const Gro&) = delete;
  Gro& operator=(const Gro&) = delete;

  /// Takes a packet: `data` stands at its network header, `mac_header` and `network_header` at theirs, `protocol` says
  /// what it is. Kernel: napi_gro_receive.
  GroResult receive(Packet& packet);
  /// All that is held is finished. Kernel: napi_gro_flush.
  void flush();
  /// Only what has been held since before `tick` became what it is: held packets may wait for later bursts.
  void flush_older();
  /// The caller's clock, in whatever unit flush_older() shall count.
  void set_tick(std::uint32_t tick);

  /// Finished packets in the order in which the kernel would hand them up; valid until the next call.
  std::span<Packet* const> take();

  std::size_t held() const;  ///< packets that wait, not counting what they have merged
  const std::array<std::uint64_t, kGroRefusals>& refusals() const;

 private:
  struct State;
  explicit Gro(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace netrx
