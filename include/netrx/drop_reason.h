// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace netrx {

/// Why a packet ended without being delivered. Kernel: enum skb_drop_reason; the names are the kernel's, its numbers
/// change from release to release and are not copied.
enum class DropReason : std::uint8_t {
  kNotSpecified,
  kCpuBacklog,      ///< backlog full, or the flow limit
  kDevReady,        ///< the device went down or away
  kUnhandledProto,  ///< no packet type took it
  kSocketRcvbuff,   ///< the application's queue is full
  kNomem,           ///< no packet or frame to receive into
  kFullRing,        ///< the device to send by is full
  kSkbGsoSeg,       ///< it can't be cut into segments
  kPktTooSmall,     ///< shorter than its link header
  kTailPad,         // keep last
};
inline constexpr std::size_t kDropReasons = static_cast<std::size_t>(DropReason::kTailPad);

constexpr std::string_view name(DropReason reason) {
  switch (reason) {
    case DropReason::kNotSpecified: return "NOT_SPECIFIED";
    case DropReason::kCpuBacklog: return "CPU_BACKLOG";
    case DropReason::kDevReady: return "DEV_READY";
    case DropReason::kUnhandledProto: return "UNHANDLED_PROTO";
    case DropReason::kSocketRcvbuff: return "SOCKET_RCVBUFF";
    case DropReason::kNomem: return "NOMEM";
    case DropReason::kFullRing: return "FULL_RING";
    case DropReason::kSkbGsoSeg: return "SKB_GSO_SEG";
    case DropReason::kPktTooSmall: return "PKT_TOO_SMALL";
    case DropReason::kTailPad: break;
  }
  return "?";
}

}  // namespace netrx
