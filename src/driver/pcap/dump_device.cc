// SPDX-License-Identifier: Apache-2.0
#include "driver/pcap/dump_device.h"

#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "driver/big_frames.h"
#include "driver/wrapped_device.h"
#include "netrx/packet_bytes.h"
#include "wire/headers.h"

namespace netrx {

namespace {

struct ClosePcap {
  void operator()(pcap_t* pcap) const { pcap_close(pcap); }
  void operator()(pcap_dumper_t* dumper) const { pcap_dump_close(dumper); }
};

/// The file. Queues may be polled by several CPUs at once: a poll's frames are written under one lock.
class DumpFile {
 public:
  /// Takes over `file`, already open for writing.
  static Result<std::unique_ptr<DumpFile>> create(std::FILE* file, const std::string& path, bool ethernet,
                                                  std::uint32_t snaplen) {
    auto dump = std::unique_ptr<DumpFile>(new DumpFile(path, ethernet, snaplen));
    dump->pcap_.reset(pcap_open_dead_with_tstamp_precision(ethernet ? DLT_EN10MB : DLT_LINUX_SLL,
                                                           static_cast<int>(snaplen), PCAP_TSTAMP_PRECISION_NANO));
    if (dump->pcap_ == nullptr) {
      std::fclose(file);
      return fail(ENOMEM, "dump: " + path + ": not enough memory");
    }
    dump->dumper_.reset(pcap_dump_fopen(dump->pcap_.get(), file));  // closes the file when it fails
    if (dump->dumper_ == nullptr) return fail(EIO, "dump: " + path + ": " + pcap_geterr(dump->pcap_.get()));
    return dump;
  }

  void write(std::span<Packet* const> packets, Nanos now) {
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

  std::string remark() {
    const std::lock_guard lock(mutex_);
    if (failed_ == 0 && pcap_dump_flush(dumper_.get()) != 0) failed_ = errno == 0 ? EIO : errno;
    if (failed_ == 0) return {};
    return "dump: " + path_ + ": writing ended behind frame " + std::to_string(frames_) + " (" +
           std::strerror(failed_) + ")";
  }

 private:
  DumpFile(std::string path, bool ethernet, std::uint32_t snaplen)
      : path_(std::move(path)), ethernet_(ethernet), snaplen_(snaplen), frame_(BigFrames::kLargest + 64) {}

  void write_one(const Packet& packet, Nanos now) {
    const std::size_t size = assemble(packet);
    pcap_pkthdr header{};
    header.ts.tv_sec = static_cast<time_t>(now.count() / 1'000'000'000);
    header.ts.tv_usec = static_cast<suseconds_t>(now.count() % 1'000'000'000);
    header.len = static_cast<bpf_u_int32>(size);
    header.caplen = std::min(header.len, snaplen_);
    pcap_dump(reinterpret_cast<u_char*>(dumper_.get()), &header, frame_.data());
  }

  /// The frame as it would have been on the wire, or with a cooked header; returns its size.
  std::size_t assemble(const Packet& packet) {
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

class DumpQueue final : public WrappedQueue {
 public:
  DumpQueue(RxQueue& inner, DumpFile& file) : WrappedQueue(inner), file_(file) {}

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override {
    const std::size_t before = batch.size();
    const std::size_t got = WrappedQueue::poll(context, batch, budget);
    if (got != 0) file_.write(batch.packets().subspan(before), context.now);
    return got;
  }

 private:
  DumpFile& file_;
};

class DumpDevice final : public WrappedDevice {
 public:
  DumpDevice(std::unique_ptr<NetDevice> inner, std::unique_ptr<DumpFile> file)
      : WrappedDevice(std::move(inner)), file_(std::move(file)) {
    for (std::size_t i = 0; i < inner_->queue_count(); ++i)
      queues_.push_back(std::make_unique<DumpQueue>(inner_->queue(i), *file_));
  }

  std::string remark() const override { return remark_and(file_->remark()); }

 private:
  std::unique_ptr<DumpFile> file_;
};

Result<std::unique_ptr<NetDevice>> wrap_dump(DeviceArguments& arguments, std::unique_ptr<NetDevice> inner) {
  const auto snaplen =
      static_cast<std::uint32_t>(arguments.number("snaplen", BigFrames::kLargest, 1, BigFrames::kLargest));
  if (arguments.error()) return std::unexpected(*arguments.error());
  return make_dump_device(std::move(inner), arguments.argument(), snaplen);
}

}  // namespace

Result<std::unique_ptr<NetDevice>> make_dump_device(std::unique_ptr<NetDevice> inner, const std::string& path,
                                                    std::uint32_t snaplen) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) {
    const int code = errno;
    return fail(code, "dump: " + path + ": " + std::strerror(code) + "; give a file that can be written");
  }
  auto dump = DumpFile::create(file, path, inner->has_link_header(), snaplen);
  if (!dump) return std::unexpected(dump.error());
  return std::make_unique<DumpDevice>(std::move(inner), std::move(*dump));
}

DeviceKind dump_device_kind() {
  return {.name = "dump",
          .argument = "FILE",
          .summary = "writes the frames that the device gives out to a pcap file",
          .keys = {{"snaplen", "N", "bytes of each frame (default: all)"}},
          .open = {},
          .wrap = wrap_dump};
}

}  // namespace netrx
