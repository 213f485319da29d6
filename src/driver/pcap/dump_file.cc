// SPDX-License-Identifier: Apache-2.0
#include "driver/pcap/dump_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "driver/big_frames.h"
#include "netrx/packet_bytes.h"
#include "wire/headers.h"

namespace netrx {

Result<std::unique_ptr<DumpFile>> DumpFile::open(const std::string& who, const std::string& path, bool ethernet,
                                                 std::uint32_t snaplen) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) {
    const int code = errno;
    return fail(code, who + ": " + path + ": " + std::strerror(code) + "; give a file that can be written");
  }
  auto dump = std::unique_ptr<DumpFile>(new DumpFile(who, path, ethernet, snaplen));
  dump->pcap_.reset(pcap_open_dead_with_tstamp_precision(ethernet ? DLT_EN10MB : DLT_LINUX_SLL,
                                                         static_cast<int>(snaplen), PCAP_TSTAMP_PRECISION_NANO));
  if (dump->pcap_ == nullptr) {
    std::fclose(file);
    return fail(ENOMEM, who + ": " + path + ": not enough memory");
  }
  dump->dumper_.reset(pcap_dump_fopen(dump->pcap_.get(), file));  // closes the file when it fails
  if (dump->dumper_ == nullptr) return fail(EIO, who + ": " + path + ": " + pcap_geterr(dump->pcap_.get()));
  return dump;
}

DumpFile::DumpFile(std::string who, std::string path, bool ethernet, std::uint32_t snaplen)
    : who_(std::move(who)),
      path_(std::move(path)),
      ethernet_(ethernet),
      snaplen_(snaplen),
      frame_(BigFrames::kLargest + 64) {}

void DumpFile::write(std::span<Packet* const> packets, Nanos now) {
  const std::lock_guard lock(mutex_);
  for (const Packet* packet : packets) {
    if (failed_ != 0) return;
    write_one(*packet, now);
    if (std::ferror(pcap_dump_file(dumper_.get())) != 0)
      failed_ = errno == 0 ? EIO : errno;
    else
      ++frames_;
  }
}

std::string DumpFile::remark() {
  const std::lock_guard lock(mutex_);
  if (failed_ == 0 && pcap_dump_flush(dumper_.get()) != 0) failed_ = errno == 0 ? EIO : errno;
  if (failed_ == 0) return {};
  return who_ + ": " + path_ + ": writing ended behind frame " + std::to_string(frames_) + " (" +
         std::strerror(failed_) + ")";
}

void DumpFile::write_one(const Packet& packet, Nanos now) {
  const std::size_t size = assemble(packet);
  pcap_pkthdr header{};
  header.ts.tv_sec = static_cast<time_t>(now.count() / 1'000'000'000);
  header.ts.tv_usec = static_cast<suseconds_t>(now.count() % 1'000'000'000);
  header.len = static_cast<bpf_u_int32>(size);
  header.caplen = std::min(header.len, snaplen_);
  pcap_dump(reinterpret_cast<u_char*>(dumper_.get()), &header, frame_.data());
}

/// The frame as it would have been on the wire, or with a cooked header; returns its size.
std::size_t DumpFile::assemble(const Packet& packet) {
  const std::size_t length = std::min<std::size_t>(packet.len, BigFrames::kLargest);
  std::size_t size = 0;
  const auto add = [&](const void* from, std::size_t n) {
    std::memcpy(frame_.data() + size, from, n);
    size += n;
  };
  const auto add_bytes = [&](std::size_t offset, std::size_t n) {
    size += copy_bits(packet, offset, {frame_.data() + size, n});
  };
  std::size_t tag_at = ethernet_ ? 12 : 0;
  if (!ethernet_) {
    constexpr std::array<std::uint8_t, 14> kCooked{0, 0, 0, 1};
    add(kCooked.data(), kCooked.size());
    frame_[1] = static_cast<std::uint8_t>(packet.pkt_type);
  }
  if (packet.vlan_present && length >= tag_at) {
    add_bytes(0, tag_at);
    const Be16 tci = to_be16(packet.vlan_tci);
    add(&packet.vlan_proto, 2);
    add(&tci, 2);
  } else {
    tag_at = 0;
  }
  if (!ethernet_) add(&packet.protocol, 2);
  add_bytes(tag_at, length - tag_at);
  return size;
}

}  // namespace netrx
