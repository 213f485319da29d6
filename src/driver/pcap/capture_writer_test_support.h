// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "driver/queue_runner_test_support.h"
#include "netrx/pcap.h"

namespace netrx {

/// A file name of this test's own, gone at its end.
class TempFile {
 public:
  explicit TempFile(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / ("netrx-" + std::to_string(::getpid()) + "-" + name)) {}
  ~TempFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;

  std::string path() const { return path_.string(); }
  void write(std::string_view bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }
  std::string read() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::filesystem::path path_;
};

struct TestRecord {
  FrameBytes bytes;
  Nanos time{0};
  std::uint32_t wire_size = 0;  ///< 0: as long as `bytes`
};

/// Writes a capture with nanosecond time stamps; false when libpcap can't write this link type.
inline bool write_capture(const std::string& path, int dlt, const std::vector<TestRecord>& records) {
  pcap_t* pcap = pcap_open_dead_with_tstamp_precision(dlt, 262144, PCAP_TSTAMP_PRECISION_NANO);
  pcap_dumper_t* dumper = pcap_dump_open(pcap, path.c_str());
  if (dumper != nullptr) {
    for (const TestRecord& record : records) {
      pcap_pkthdr header{};
      header.ts.tv_sec = record.time.count() / 1'000'000'000;
      header.ts.tv_usec = record.time.count() % 1'000'000'000;
      header.caplen = static_cast<std::uint32_t>(record.bytes.size());
      header.len = record.wire_size == 0 ? header.caplen : record.wire_size;
      pcap_dump(reinterpret_cast<u_char*>(dumper), &header, record.bytes.data());
    }
    pcap_dump_close(dumper);
  }
  pcap_close(pcap);
  return dumper != nullptr;
}

inline std::string sample(const std::string& name) { return NETRX_SAMPLES "/" + name; }

inline DeviceCatalog pcap_catalog() {
  DeviceCatalog catalog = DeviceCatalog::builtin();
  add_pcap_devices(catalog);
  return catalog;
}

/// What a device gives out, in virtual time, queue after queue.
struct Received {
  FrameBytes bytes;
  Nanos time;  ///< of the poll
  std::size_t queue;
  Be16 protocol;
  PacketKind kind;
  FlowHash hash;
};

inline std::vector<Received> receive_all(NetDevice& device, PacketPool& pool) {
  std::vector<Received> frames;
  for (std::size_t i = 0; i < device.queue_count(); ++i) {
    QueueRunner runner(device.queue(i), pool, 1);
    runner.on_batch = [&](PacketBatch& batch) {
      for (const Packet* p : batch)
        frames.push_back({{p->data, p->data + p->len}, runner.now, i, p->protocol, p->pkt_type, {p->hash, p->l4_hash}});
    };
    EXPECT_TRUE(runner.run());
  }
  return frames;
}

inline std::vector<Received> receive_all(const std::string& spec) {
  const auto pool = test_pool();
  auto device = pcap_catalog().open(spec);
  if (!device) {
    ADD_FAILURE() << device.error().text;
    return {};
  }
  return receive_all(**device, *pool);
}

}  // namespace netrx
