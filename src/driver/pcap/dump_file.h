// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pcap/pcap.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "netrx/error.h"
#include "netrx/packet.h"
#include "netrx/time.h"

namespace netrx {

/// A capture file that is being written. A write that fails ends the writing and is told by remark().
///
/// Thread safety: everything by anyone; the frames of one call are written under one lock.
class DumpFile {
 public:
  /// Opens `path` anew. Errors begin with `who`.
  static Result<std::unique_ptr<DumpFile>> open(const std::string& who, const std::string& path, bool ethernet,
                                                std::uint32_t snaplen);

  /// `data` stands at the packets' link header, or at the network header where `ethernet` is false.
  void write(std::span<Packet* const> packets, Nanos now);

  /// Also brings what is buffered to the file.
  std::string remark();

 private:
  struct ClosePcap {
    void operator()(pcap_t* pcap) const { pcap_close(pcap); }
    void operator()(pcap_dumper_t* dumper) const { pcap_dump_close(dumper); }
  };

  DumpFile(std::string who, std::string path, bool ethernet, std::uint32_t snaplen);
  void write_one(const Packet& packet, Nanos now);
  std::size_t assemble(const Packet& packet);

  const std::string who_;
  const std::string path_;
  const bool ethernet_;
  const std::uint32_t snaplen_;
  std::mutex mutex_;
  std::unique_ptr<pcap_t, ClosePcap> pcap_;
  std::unique_ptr<pcap_dumper_t, ClosePcap> dumper_;
  std::vector<std::uint8_t> frame_;
  std::uint64_t frames_ = 0;
  int failed_ = 0;  ///< errno
};

}  // namespace netrx
