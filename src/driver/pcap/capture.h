// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "driver/pcap/link_type.h"
#include "netrx/error.h"
#include "netrx/pcap.h"
#include "netrx/time.h"

namespace netrx {

/// One frame of a capture in memory.
struct CapturedFrame {
  std::uint64_t at = 0;    ///< where its bytes are in Capture::bytes; link headers other than Ethernet are left out
  std::uint32_t size = 0;  ///< kNotReceivable: it ended within its link header, or is larger than any buffer
  Be16 protocol{};         ///< not for Ethernet
  PacketKind kind = PacketKind::host;
  Nanos time{0};  ///< since the first frame, never less than the frame's before it

  static constexpr std::uint32_t kNotReceivable = ~0u;
  bool receivable() const { return size != kNotReceivable; }
};

/// A capture file, whole and in memory; what of it could be read.
struct Capture {
  int link_type = kLinkEthernet;
  std::vector<std::uint8_t> bytes;
  std::vector<CapturedFrame> frames;
  std::uint32_t largest_frame = 0;
  std::uint64_t cut_frames = 0;  ///< captured shorter than they were
  std::string damage;            ///< where and why reading ended early; empty: it did not

  bool has_link_header() const { return link_type == kLinkEthernet; }
  std::span<const std::uint8_t> bytes_of(const CapturedFrame& frame) const {
    return std::span(bytes).subspan(frame.at, frame.receivable() ? frame.size : 0);
  }
};

struct CaptureOptions {
  std::uint64_t max_frames = ~std::uint64_t{0};
  std::uint64_t memory_limit = ~std::uint64_t{0};  ///< bytes the capture may take
  CaptureProgress progress = {};
};

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

/// Reads a pcap or pcapng file from where `file` stands. Damage behind the first header is no error: see
/// Capture::damage. EINVAL: not a capture; EPROTONOSUPPORT: a link type that is not handled; ENOMEM. `name` is for
/// texts.
Result<Capture> read_capture(File file, const std::string& name, const CaptureOptions& options);

/// Opens and reads the file at `path`; "-" is the standard input. The errno of open(); EISDIR; ENODATA: it is empty.
Result<Capture> read_capture_file(const std::string& path, CaptureOptions options);

}  // namespace netrx
