// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "netrx/virtio_net_hdr.h"

namespace netrx::virtio {

// Feature bits that this driver and device know. Kernel: include/uapi/linux/virtio_net.h, virtio_config.h.
enum Feature : std::uint8_t {
  kCsum = 0,
  kGuestCsum = 1,
  kMtu = 3,
  kMac = 5,
  kGuestTso4 = 7,
  kGuestTso6 = 8,
  kGuestEcn = 9,
  kHostTso4 = 11,
  kHostTso6 = 12,
  kHostEcn = 13,
  kMrgRxbuf = 15,
  kStatus = 16,
  kCtrlVq = 17,
  kMq = 22,
  kIndirectDesc = 28,
  kEventIdx = 29,
  kProtocolFeatures = 30,  ///< vhost-user's own
  kVersion1 = 32,
  kRingPacked = 34,
  kInOrder = 35,
  kGuestUso4 = 54,
  kGuestUso6 = 55,
  kHostUso = 56,
  kHashReport = 57,
};

/// A set of them.
class Features {
 public:
  constexpr Features() = default;
  constexpr explicit Features(std::uint64_t bits) : bits_(bits) {}
  constexpr bool has(Feature feature) const { return (bits_ >> feature & 1) != 0; }
  constexpr Features with(Feature feature, bool on = true) const {
    return Features(on ? bits_ | std::uint64_t{1} << feature : bits_ & ~(std::uint64_t{1} << feature));
  }
  constexpr Features both(Features other) const { return Features(bits_ & other.bits_); }
  constexpr std::uint64_t bits() const { return bits_; }
  constexpr bool any_guest_gso() const {
    return has(kGuestTso4) || has(kGuestTso6) || has(kGuestEcn) || (has(kGuestUso4) && has(kGuestUso6));
  }
  bool operator==(const Features&) const = default;

 private:
  std::uint64_t bits_ = 0;
};

/// The longest header there is; the first header_size() bytes of it go with each packet. Kernel:
/// virtio_net_hdr_v1_hash.
struct NetHeader {
  static constexpr std::uint16_t kHashNone = 0, kHashIpv4 = 1, kHashIpv6 = 4, kHashIpv6Ex = 7, kHashLast = 9;

  VirtioNetHdr base;
  std::uint16_t num_buffers = 0;
  std::uint32_t hash_value = 0;
  std::uint16_t hash_report = kHashNone;
  std::uint16_t padding = 0;

  static constexpr std::uint32_t size(Features features) {
    if (features.has(kHashReport)) return 20;
    return features.has(kMrgRxbuf) || features.has(kVersion1) ? 12 : 10;
  }
  /// A hash over ports too. Kernel: virtio_skb_set_hash.
  static constexpr bool is_l4_hash(std::uint16_t report) {
    return report != kHashNone && report != kHashIpv4 && report != kHashIpv6 && report != kHashIpv6Ex &&
           report <= kHashLast;
  }
};
static_assert(sizeof(NetHeader) == 20);

}  // namespace netrx::virtio
