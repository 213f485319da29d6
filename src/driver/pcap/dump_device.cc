// SPDX-License-Identifier: Apache-2.0
#include "driver/pcap/dump_device.h"

#include <utility>
#include <vector>

#include "driver/big_frames.h"
#include "driver/pcap/dump_file.h"
#include "driver/wrapped_device.h"

namespace netrx {

namespace {

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
  auto dump = DumpFile::open("dump", path, inner->has_link_header(), snaplen);
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
