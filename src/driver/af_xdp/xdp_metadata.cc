// SPDX-License-Identifier: Apache-2.0
#include "driver/af_xdp/xdp_metadata.h"

#include <bpf/btf.h>
#include <linux/btf.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "netrx/af_xdp.h"

namespace netrx {

namespace {

/// False: nothing is there. Bytes that happen to be in front of some frame do not have the mark.
bool metadata_of(const Packet& packet, XdpMetadata& metadata) {
  if (packet.frame_home == nullptr || packet.mac_header < sizeof metadata) return false;
  std::memcpy(&metadata, packet.mac() - sizeof metadata, sizeof metadata);
  return (metadata.what & ~std::uint32_t{0xff}) == XdpMetadata::kMark;
}

}  // namespace

Result<XdpMetadataFunctions> XdpMetadataFunctions::find() {
  const std::unique_ptr<btf, void (*)(btf*)> types(btf__load_vmlinux_btf(), btf__free);
  if (types == nullptr) return fail(EOPNOTSUPP, "the kernel tells no types (CONFIG_DEBUG_INFO_BTF)");
  const auto named = [&](const char* name) {
    return std::max(0, btf__find_by_name_kind(types.get(), name, BTF_KIND_FUNC));
  };
  const XdpMetadataFunctions found{.timestamp = named("bpf_xdp_metadata_rx_timestamp"),
                                   .hash = named("bpf_xdp_metadata_rx_hash"),
                                   .vlan = named("bpf_xdp_metadata_rx_vlan_tag")};
  if (!found.any()) return fail(EOPNOTSUPP, "the kernel has no metadata for XDP programs (Linux 6.3 has)");
  return found;
}

void read_xdp_metadata(Packet& packet) {
  XdpMetadata metadata;
  if (!metadata_of(packet, metadata)) return;
  if ((metadata.what & XdpMetadata::kHash) != 0) {
    packet.hash = metadata.hash;
    packet.l4_hash = (metadata.rss_type & XdpMetadata::kRssL4) != 0;
  }
  if ((metadata.what & XdpMetadata::kVlan) != 0) {
    packet.vlan_present = true;
    packet.vlan_tci = metadata.vlan_tci;
    packet.vlan_proto = Be16{metadata.vlan_proto};
  }
}

std::optional<Nanos> xdp_rx_timestamp(const Packet& packet) {
  XdpMetadata metadata;
  if (!metadata_of(packet, metadata) || (metadata.what & XdpMetadata::kTimestamp) == 0) return {};
  if (metadata.timestamp == 0) return {};  // as in skb_hwtstamps: not stamped
  return Nanos{static_cast<std::int64_t>(metadata.timestamp)};
}

}  // namespace netrx
