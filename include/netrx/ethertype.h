// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netrx/byte_order.h"

namespace netrx {

/// EtherTypes the path looks at. Kernel: ETH_P_*.
inline constexpr Be16 kEthP8023{to_be16(0x0001)};  ///< Novell raw 802.3: first two payload bytes are ff ff
inline constexpr Be16 kEthPAll{to_be16(0x0003)};   ///< every packet (taps)
inline constexpr Be16 kEthP8022{to_be16(0x0004)};  ///< 802.2 LLC: the field is a length
inline constexpr Be16 kEthPIp{to_be16(0x0800)};
inline constexpr Be16 kEthPArp{to_be16(0x0806)};
inline constexpr Be16 kEthPRarp{to_be16(0x8035)};
inline constexpr Be16 kEthPTeb{to_be16(0x6558)};
inline constexpr Be16 kEthP8021q{to_be16(0x8100)};
inline constexpr Be16 kEthPIpv6{to_be16(0x86dd)};
inline constexpr Be16 kEthP8021ad{to_be16(0x88a8)};
inline constexpr Be16 kEthPMplsUc{to_be16(0x8847)};
inline constexpr Be16 kEthPMplsMc{to_be16(0x8848)};
inline constexpr Be16 kEthPPppSes{to_be16(0x8864)};
inline constexpr Be16 kEthPPreauth{to_be16(0x88c7)};
inline constexpr Be16 kEthPTipc{to_be16(0x88ca)};
inline constexpr Be16 kEthP1588{to_be16(0x88f7)};
inline constexpr Be16 kEthPPrp{to_be16(0x88fb)};
inline constexpr Be16 kEthPCfm{to_be16(0x8902)};
inline constexpr Be16 kEthPFcoe{to_be16(0x8906)};
inline constexpr Be16 kEthPHsr{to_be16(0x892f)};
inline constexpr Be16 kEthPBatman{to_be16(0x4305)};

constexpr bool is_vlan(Be16 protocol) { return protocol == kEthP8021q || protocol == kEthP8021ad; }

}  // namespace netrx
