// SPDX-License-Identifier: Apache-2.0
#include "driver/pcap/pcap_sink.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "driver/big_frames.h"
#include "driver/live/done_packets.h"
#include "driver/pcap/dump_file.h"
#include "driver/queue_options.h"

namespace netrx {

namespace {

class PcapTxQueue final : public TxQueue {
 public:
  explicit PcapTxQueue(DumpFile& file) : file_(file) {}

  std::size_t xmit(std::span<Packet* const> packets) override {
    const std::span<Packet* const> taken = packets.first(std::min(packets.size(), done_.room()));
    file_.write(taken, std::chrono::system_clock::now().time_since_epoch());
    count_taken(stats_, taken, packets.size());
    done_.add(taken);
    return taken.size();
  }
  void xmit_kick() override {}
  std::size_t xmit_done(PacketBatch& done) override { return done_.give(done); }

 private:
  DumpFile& file_;
  DonePackets done_;
};

class PcapSink final : public NetDevice {
 public:
  PcapSink(std::unique_ptr<DumpFile> file, std::string name, bool ethernet)
      : file_(std::move(file)), name_(std::move(name)), ethernet_(ethernet), queue_(*file_) {}

  std::string_view name() const override { return name_; }
  std::size_t queue_count() const override { return 0; }
  RxQueue& queue(std::size_t) override { std::abort(); }
  bool has_link_header() const override { return ethernet_; }
  std::size_t tx_queue_count() const override { return 1; }
  TxQueue& tx_queue(std::size_t) override { return queue_; }
  TxFeatures tx_features() const override {
    return {.checksum = false, .scatter = true, .tcp_segmentation = false, .udp_segmentation = false};
  }
  std::string remark() const override { return file_->remark(); }

 private:
  const std::unique_ptr<DumpFile> file_;
  const std::string name_;
  const bool ethernet_;
  PcapTxQueue queue_;
};

}  // namespace

Result<std::unique_ptr<NetDevice>> open_pcap_sink(DeviceArguments& arguments) {
  std::string name = read_device_name(arguments, "pcap0");
  const bool ethernet = arguments.choice("link", 0, {"ethernet", "cooked"}) == 0;
  if (arguments.error()) return std::unexpected(*arguments.error());
  auto file = DumpFile::open("pcap", arguments.argument(), ethernet, BigFrames::kLargest);
  if (!file) return std::unexpected(file.error());
  return std::make_unique<PcapSink>(std::move(*file), std::move(name), ethernet);
}

}  // namespace netrx
