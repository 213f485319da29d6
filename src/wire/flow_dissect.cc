// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "netrx/ethertype.h"
#include "netrx/flow.h"
#include "wire/headers.h"
#include "wire/sip_columns.h"

namespace netrx {
namespace {

using namespace wire;

/// The bit of a VLAN tag that is not hashed.
constexpr std::uint16_t kVlanDei = 0x1000;

/// What the reader of one header asks the walk to do next.
enum class Step : std::uint8_t {
  ether_type,   ///< read another header, named by proto_
  ip_protocol,  ///< read another header, named by ip_proto_
  stop_good,
  stop_bad,
};

/// One walk over one frame. offset_ may run past the end (an extension header's length is believed); open() is the only
/// way to the bytes and refuses what is not there.
class Walk {
 public:
  Walk(const FlowInput& in, FlowKeys& keys) : in_(in), keys_(keys), proto_(in.protocol) {}

  Dissected run();

 private:
  /// So many headers may follow the first. An IP header and what its protocol field names count as one.
  static constexpr int kMoreHeaders = 15;

  const std::uint8_t* bytes(std::uint32_t at, std::uint32_t size) const {
    return at <= in_.len && size <= in_.len - at ? in_.data + at : nullptr;
  }
  /// Points `view` at the header at offset_ + behind; false if the frame ends before it does.
  template <class View>
  bool open(View& view, std::uint32_t behind = 0) const {
    view.at = bytes(offset_ + behind, View::kSize);
    return view.at != nullptr;
  }

  bool skip_dsa_tag();
  Step ether_type();
  Step vlan();
  Step ipv4();
  Step ipv6();
  Step pppoe();
  Step tipc();
  Step batman();
  Step hsr();
  Step stop_behind(std::uint32_t size);

  Step ip_protocol();
  Step ip_header();
  Step gre();
  Step gre_payload(std::uint32_t size, std::uint16_t flags);
  Step ipv6_option();
  Step ipv6_fragment();
  Step tunnel(Be16 inner, std::uint32_t flags);
  void read_ports();

  const FlowInput& in_;
  FlowKeys& keys_;
  Be16 proto_;
  std::uint8_t ip_proto_ = 0;
  bool vlan_seen_ = false;
  int more_headers_ = 0;
  std::uint32_t offset_ = 0;
};

Dissected Walk::run() {
  Step step = Step::ether_type;
  if (in_.vlan_present) {
    proto_ = in_.vlan_proto;
  } else if (in_.dsa_tag_len != 0 && !skip_dsa_tag()) {
    step = Step::stop_bad;
  }
  while (step == Step::ether_type || step == Step::ip_protocol) {
    if (more_headers_++ > kMoreHeaders) {
      step = Step::stop_good;
    } else {
      step = step == Step::ether_type ? ether_type() : ip_protocol();
    }
  }
  keys_.n_proto = proto_;
  keys_.ip_proto = ip_proto_;
  // 16 bits suffice: sixteen extension headers of the largest size are 32 KiB.
  keys_.thoff = static_cast<std::uint16_t>(std::min(offset_, in_.len));
  return step == Step::stop_good ? Dissected::good : Dissected::bad;
}

bool Walk::skip_dsa_tag() {
  if (in_.dsa_tag_len < 2 || in_.dsa_tag_len > in_.len) return false;
  proto_ = load_unaligned<Be16>(in_.data + in_.dsa_tag_len - 2);
  offset_ = in_.dsa_tag_len;
  return true;
}

// ---- headers named by EtherType

Step Walk::ether_type() {
  switch (proto_) {
    case kEthPIp: return ipv4();
    case kEthPIpv6: return ipv6();
    case kEthP8021q:
    case kEthP8021ad: return vlan();
    case kEthPPppSes: return pppoe();
    case kEthPTipc: return tipc();
    case kEthPBatman: return batman();
    case kEthPPrp:
    case kEthPHsr: return hsr();
    case kEthPFcoe: return stop_behind(kFcoeHeaderSize);
    case kEthP1588: return stop_behind(kPtpHeaderSize);
    // The keys we hash hold nothing of these, so the walk ends before reading them.
    case kEthPMplsUc:
    case kEthPMplsMc:
    case kEthPArp:
    case kEthPRarp:
    case kEthPCfm: return Step::stop_good;
    default: return Step::stop_bad;
  }
}

Step Walk::vlan() {
  const Be16 tpid = proto_;
  std::uint16_t tci = in_.vlan_tci;
  if (!vlan_seen_ && in_.vlan_present) {
    proto_ = in_.protocol;
  } else {
    VlanView tag;
    if (!open(tag)) return Step::stop_bad;
    tci = tag.tci();
    proto_ = tag.ether_type();
    offset_ += VlanView::kSize;
  }
  if (!std::exchange(vlan_seen_, true)) {
    keys_.vlan = {
        .id_and_priority = static_cast<std::uint16_t>(tci & ~kVlanDei), .tpid = tpid, .eth_type = proto_, .padding = 0};
  }
  return Step::ether_type;
}

Step Walk::ipv4() {
  Ipv4View ip;
  if (!open(ip) || ip.header_size() < Ipv4View::kSize) return Step::stop_bad;
  offset_ += ip.header_size();
  ip_proto_ = ip.protocol();
  keys_.addr_type = FlowAddrType::ipv4;
  std::memcpy(keys_.addrs.data(), ip.addresses(), 8);
  if (ip.is_fragment()) {
    keys_.flags |= kFlowIsFragment | (ip.fragment_offset() == 0 ? kFlowFirstFragment : 0);
    return Step::stop_good;
  }
  return ip_protocol();
}

Step Walk::ipv6() {
  Ipv6View ip;
  if (!open(ip)) return Step::stop_bad;
  offset_ += Ipv6View::kSize;
  ip_proto_ = ip.next_header();
  keys_.addr_type = FlowAddrType::ipv6;
  std::memcpy(keys_.addrs.data(), ip.addresses(), 32);
  if (ip.flow_label() != 0) {
    keys_.flow_label = ip.flow_label();
    return Step::stop_good;
  }
  return ip_protocol();
}

Step Walk::pppoe() {
  PppoeView session;
  if (!open(session) || session.version() != 1 || session.type() != 1 || session.code() != 0) return Step::stop_bad;
  const std::uint16_t protocol = session.ppp_protocol();
  offset_ += PppoeView::kSize;
  switch (protocol) {
    case kPppIp: proto_ = kEthPIp; return Step::ether_type;
    case kPppIpv6: proto_ = kEthPIpv6; return Step::ether_type;
    case kPppMplsUc: proto_ = kEthPMplsUc; return Step::ether_type;
    case kPppMplsMc: proto_ = kEthPMplsMc; return Step::ether_type;
    default: {
      // A full PPP protocol number is even in its first byte and odd in its second.
      const bool valid = (protocol & 0x0101) == 0x0001;
      return valid ? Step::stop_good : Step::stop_bad;
    }
  }
}

Step Walk::tipc() {
  TipcView message;
  if (!open(message)) return Step::stop_bad;
  const Be32 key = message.is_keepalive_probe() ? Be32{in_.tipc_probe_key} : message.source_node();
  keys_.addr_type = FlowAddrType::tipc;
  std::memcpy(keys_.addrs.data(), &key, sizeof key);
  return Step::stop_good;
}

Step Walk::batman() {
  BatmanView mesh;
  if (!open(mesh) || mesh.version() != BatmanView::kVersion || mesh.packet_type() != BatmanView::kUnicast) {
    return Step::stop_bad;
  }
  proto_ = mesh.inner().ether_type();
  offset_ += BatmanView::kSize;
  keys_.flags |= kFlowEncapsulation;
  return Step::ether_type;
}

Step Walk::hsr() {
  HsrView tag;
  if (!open(tag)) return Step::stop_bad;
  proto_ = tag.ether_type();
  offset_ += HsrView::kSize;
  return Step::ether_type;
}

Step Walk::stop_behind(std::uint32_t size) {
  if (bytes(offset_, size) == nullptr) return Step::stop_bad;
  offset_ += size;
  return Step::stop_good;
}

// ---- headers named by IP protocol

/// Reads the header ip_proto_ names, then the ports of whatever ip_proto_ names by now: behind the last extension
/// header that the header limit lets through, they still count.
Step Walk::ip_protocol() {
  const Step step = ip_header();
  if (step != Step::stop_bad && (keys_.flags & kFlowIsFragment) == 0) read_ports();
  return step;
}

Step Walk::ip_header() {
  const bool in_ipv6 = proto_ == kEthPIpv6;
  switch (ip_proto_) {
    case kIpProtoGre: return gre();
    case kIpProtoIpip: return tunnel(kEthPIp, kFlowEncapsulation);
    case kIpProtoIpv6: return tunnel(kEthPIpv6, kFlowEncapsulation);
    case kIpProtoMpls: return tunnel(kEthPMplsUc, 0);
    case kIpProtoHopByHop:
    case kIpProtoRouting:
    case kIpProtoDestOpts: return in_ipv6 ? ipv6_option() : Step::stop_good;
    case kIpProtoFragment: return in_ipv6 ? ipv6_fragment() : Step::stop_good;
    default: return Step::stop_good;
  }
}

Step Walk::gre() {
  GreView gre;
  if (!open(gre)) return Step::stop_bad;
  if ((gre.flags() & GreView::kRouting) != 0 || gre.version() > 1) return Step::stop_good;
  proto_ = gre.protocol();
  const bool is_pptp = gre.version() == 1;
  const bool has_key = (gre.flags() & GreView::kKey) != 0;
  if (is_pptp && !(proto_ == kGreProtoPpp && has_key)) return Step::stop_good;

  std::uint32_t size = GreView::kSize;
  if ((gre.flags() & GreView::kCsum) != 0) size += 4;
  if (has_key) {
    const std::uint8_t* key = bytes(offset_ + size, 4);
    if (key == nullptr) return Step::stop_bad;
    // PPTP: the upper half is the payload's length.
    keys_.keyid = is_pptp ? to_be32(host32(key) & 0xffff) : load_unaligned<Be32>(key);
    size += 4;
  }
  if ((gre.flags() & GreView::kSeq) != 0) size += 4;
  return gre_payload(size, gre.flags());
}

Step Walk::gre_payload(std::uint32_t size, std::uint16_t flags) {
  const bool is_pptp = (flags & 7) == 1;
  if (is_pptp) {
    if ((flags & GreView::kAck) != 0) size += 4;
    PppView ppp;
    if (!open(ppp, size)) return Step::stop_bad;
    if (ppp.protocol() == kPppIp) proto_ = kEthPIp;
    if (ppp.protocol() == kPppIpv6) proto_ = kEthPIpv6;
    size += PppView::kSize;
  } else if (proto_ == kEthPTeb) {
    EthernetView ethernet;
    if (!open(ethernet, size)) return Step::stop_bad;
    proto_ = ethernet.ether_type();
    size += EthernetView::kSize;
  }
  offset_ += size;
  keys_.flags |= kFlowEncapsulation;
  return Step::ether_type;
}

Step Walk::ipv6_option() {
  Ipv6OptionView option;
  if (!open(option)) return Step::stop_bad;
  ip_proto_ = option.next_header();
  offset_ += option.header_size();
  return Step::ip_protocol;
}

Step Walk::ipv6_fragment() {
  Ipv6FragmentView fragment;
  if (!open(fragment)) return Step::stop_bad;
  ip_proto_ = fragment.next_header();
  offset_ += Ipv6FragmentView::kSize;
  keys_.flags |= kFlowIsFragment | (fragment.fragment_offset() == 0 ? kFlowFirstFragment : 0);
  return Step::stop_good;
}

Step Walk::tunnel(Be16 inner, std::uint32_t flags) {
  proto_ = inner;
  keys_.flags |= flags;
  return Step::ether_type;
}

/// The first four bytes of the transport header, for the protocols that keep ports (or an SPI) there; of AH the SPI.
void Walk::read_ports() {
  std::uint32_t at = offset_;
  switch (ip_proto_) {
    case kIpProtoAh: at += 4; break;
    case kIpProtoTcp:
    case kIpProtoUdp:
    case kIpProtoDccp:
    case kIpProtoSctp:
    case kIpProtoUdpLite:
    case kIpProtoEsp: break;
    default: return;
  }
  if (const std::uint8_t* ports = bytes(at, 4)) {
    keys_.src_port = load_unaligned<Be16>(ports);
    keys_.dst_port = load_unaligned<Be16>(ports + 2);
  }
}

// ---- the short cut

/// FlowKeys as the words it consists of. Each is stored once and whole, so that what reads the keys next does not wait
/// for narrower stores to drain.
class KeyWords {
 public:
  explicit KeyWords(FlowKeys& keys) : bytes_(reinterpret_cast<std::uint8_t*>(&keys)) {}
  std::uint64_t get(std::size_t word) const { return load_unaligned<std::uint64_t>(bytes_ + 8 * word); }
  void put(std::size_t word, std::uint64_t value) const { std::memcpy(bytes_ + 8 * word, &value, sizeof value); }

 private:
  std::uint8_t* bytes_;
};

struct PlainLink {
  std::uint32_t offset = 0;  ///< of the network header
  Be16 protocol{};
  std::uint64_t vlan_word = 0;  ///< FlowKeys::vlan
};

/// At most one VLAN tag, of either kind, that stands in `in` whole.
bool read_plain_link(const FlowInput& in, PlainLink& link) {
  link.protocol = in.protocol;
  std::uint16_t tci = in.vlan_tci;
  Be16 tpid = in.vlan_proto;
  if (!in.vlan_present) {
    if (!is_vlan(in.protocol)) return in.dsa_tag_len == 0;
    if (in.len < VlanView::kSize || in.dsa_tag_len != 0) return false;
    const VlanView tag{in.data};
    tci = tag.tci();
    tpid = in.protocol;
    link.protocol = tag.ether_type();
    link.offset = VlanView::kSize;
  } else if (!is_vlan(in.vlan_proto)) {
    return false;
  }
  link.vlan_word = (tci & ~std::uint64_t{kVlanDei}) | std::uint64_t{static_cast<std::uint16_t>(tpid)} << 16 |
                   std::uint64_t{static_cast<std::uint16_t>(link.protocol)} << 32;
  return true;
}

/// What is the same for both IP versions.
template <class Words>
void put_plain(Words words, const PlainLink& link, FlowAddrType type, std::uint8_t ip_proto, std::uint32_t thoff) {
  words.put(0, thoff | std::uint64_t{static_cast<std::uint16_t>(type)} << 16);
  words.put(1, static_cast<std::uint16_t>(link.protocol) | std::uint64_t{ip_proto} << 16);
  words.put(2, link.vlan_word);
  words.put(3, 0);
}

bool is_plain(std::uint8_t ip_proto) { return ip_proto == kIpProtoTcp || ip_proto == kIpProtoUdp; }

/// Most frames are these: TCP or UDP, unfragmented, straight in an IP header without options, behind at most one VLAN
/// tag. The result, in `v4` or in `v6`, is what Walk would find. none, with both untouched: let Walk look.
template <class Words4, class Words6>
FlowAddrType dissect_plain(const FlowInput& in, Words4 v4, Words6 v6) {
  PlainLink link;
  if (!read_plain_link(in, link)) return FlowAddrType::none;
  const std::uint8_t* at = in.data + link.offset;
  const std::uint32_t left = in.len - link.offset;

  if (link.protocol == kEthPIp) {
    const Ipv4View ip{at};
    constexpr std::uint32_t kSize = Ipv4View::kSize;
    if (left < kSize + 4 || ip.header_size() != kSize || ip.is_fragment() || !is_plain(ip.protocol())) {
      return FlowAddrType::none;
    }
    put_plain(v4, link, FlowAddrType::ipv4, ip.protocol(), link.offset + kSize);
    v4.put(4, std::uint64_t{load_unaligned<std::uint32_t>(at + kSize)} << 32);
    v4.put(5, std::uint64_t{static_cast<std::uint32_t>(ip.src())} << 32);
    v4.put(6, static_cast<std::uint32_t>(ip.dst()));
    for (std::size_t i = 7; i < 10; ++i) v4.put(i, 0);
    return FlowAddrType::ipv4;
  }
  if (link.protocol == kEthPIpv6) {
    const Ipv6View ip{at};
    constexpr std::uint32_t kSize = Ipv6View::kSize;
    if (left < kSize + 4 || ip.flow_label() != 0 || !is_plain(ip.next_header())) return FlowAddrType::none;
    put_plain(v6, link, FlowAddrType::ipv6, ip.next_header(), link.offset + kSize);
    v6.put(4, std::uint64_t{load_unaligned<std::uint32_t>(at + kSize)} << 32);
    v6.put(5, std::uint64_t{load_unaligned<std::uint32_t>(ip.addresses())} << 32);
    for (std::size_t i = 0; i < 3; ++i) v6.put(6 + i, load_unaligned<std::uint64_t>(ip.addresses() + 4 + 8 * i));
    v6.put(9, load_unaligned<std::uint32_t>(ip.addresses() + 28));
    return FlowAddrType::ipv6;
  }
  return FlowAddrType::none;
}

// ---- one order for both ways

/// Exchanges the two if told to. Which of two addresses comes first is as good as random, so this does not branch.
void swap_if(bool wanted, std::uint64_t& a, std::uint64_t& b) {
  const std::uint64_t difference = (a ^ b) & (std::uint64_t{0} - std::uint64_t{wanted});
  a ^= difference;
  b ^= difference;
}

constexpr std::uint64_t kLow32 = 0xffffffff;

/// The second half of one word and the first of the next: addresses start in the middle of word 5.
std::uint64_t straddling(std::uint64_t word, std::uint64_t next) { return word >> 32 | next << 32; }

/// Compared as the host reads the bytes.
template <class Words>
void order_ports(Words words) {
  const std::uint64_t word = words.get(4);
  std::uint64_t src = word >> 32 & 0xffff, dst = word >> 48;
  swap_if(dst < src, src, dst);
  words.put(4, (word & kLow32) | src << 32 | dst << 48);
}

/// Compared as the host reads the bytes.
template <class Words>
void order_ipv4(Words words) {
  const std::uint64_t icmp_and_src = words.get(5), dst_and_rest = words.get(6);
  std::uint64_t src = icmp_and_src >> 32, dst = dst_and_rest & kLow32;
  swap_if(dst < src, src, dst);
  words.put(5, (icmp_and_src & kLow32) | src << 32);
  words.put(6, (dst_and_rest & ~kLow32) | dst);
}

/// Compared byte by byte.
template <class Words>
void order_ipv6(Words words) {
  const std::uint64_t w5 = words.get(5), w6 = words.get(6), w7 = words.get(7), w8 = words.get(8), w9 = words.get(9);
  std::uint64_t src_0 = straddling(w5, w6), src_8 = straddling(w6, w7);
  std::uint64_t dst_0 = straddling(w7, w8), dst_8 = straddling(w8, w9);
  const bool same_half = src_0 == dst_0;
  const std::uint64_t src = same_half ? src_8 : src_0, dst = same_half ? dst_8 : dst_0;
  const bool wanted = __builtin_bswap64(dst) < __builtin_bswap64(src);
  swap_if(wanted, src_0, dst_0);
  swap_if(wanted, src_8, dst_8);
  words.put(5, (w5 & kLow32) | src_0 << 32);
  words.put(6, straddling(src_0, src_8));
  words.put(7, straddling(src_8, dst_0));
  words.put(8, straddling(dst_0, dst_8));
  words.put(9, (w9 & ~kLow32) | dst_8 >> 32);
}

}  // namespace

Dissected dissect(const FlowInput& in, FlowKeys& keys) {
  const KeyWords words(keys);
  if (dissect_plain(in, words, words) != FlowAddrType::none) return Dissected::good;
  keys = FlowKeys{};
  return Walk(in, keys).run();
}

void consistentify(FlowKeys& keys) {
  const KeyWords words(keys);
  if (keys.addr_type == FlowAddrType::ipv4) order_ipv4(words);
  if (keys.addr_type == FlowAddrType::ipv6) order_ipv6(words);
  order_ports(words);
}

bool wire::add_plain_flow(const FlowInput& in, std::size_t at, SipColumns<kSipWordsIpv4>& v4,
                          SipColumns<kSipWordsIpv6>& v6, bool& l4) {
  const auto add = [&](auto words, auto& columns) {
    order_ports(words);
    l4 = words.get(4) != 0;  // the GRE key beside the ports is 0
    columns.add(at);
  };
  const ColumnWords words4(v4);
  const ColumnWords words6(v6);
  const FlowAddrType type = dissect_plain(in, words4, words6);
  if (type == FlowAddrType::ipv4) {
    order_ipv4(words4);
    add(words4, v4);
  } else if (type == FlowAddrType::ipv6) {
    order_ipv6(words6);
    add(words6, v6);
  }
  return type != FlowAddrType::none;
}

}  // namespace netrx
