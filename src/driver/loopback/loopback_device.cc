// SPDX-License-Identifier: Apache-2.0
#include "driver/loopback/loopback_device.h"

#include <utility>

#include "driver/queue_options.h"

namespace netrx {

namespace {

/// Always at its end: what netif_rx() brings waits in a backlog, never here.
class SilentQueue final : public RxQueue {
 public:
  std::size_t poll(PollContext&, PacketBatch&, std::size_t) override { return 0; }
  void irq_mask() override {}
  IrqCookie irq_unmask() override { return 0; }
  bool irq_missed(IrqCookie) override { return false; }
  bool irq_take(Nanos) override { return false; }
  Nanos next_attention(Nanos) override { return kNever; }
  bool exhausted() const override { return true; }
};

class LoopbackDevice final : public NetDevice {
 public:
  LoopbackDevice(std::string name, FlowHashKind hash) : name_(std::move(name)), hash_(hash) {}

  std::string_view name() const override { return name_; }
  std::size_t queue_count() const override { return 1; }
  RxQueue& queue(std::size_t) override { return queue_; }
  FlowHashKind flow_hash() const override { return hash_; }
  bool has_link_header() const override { return false; }

 private:
  std::string name_;
  FlowHashKind hash_;
  SilentQueue queue_;
};

Result<std::unique_ptr<NetDevice>> open_loopback(DeviceArguments& arguments) {
  std::string name = read_device_name(arguments, "lo");
  const bool siphash = arguments.choice("hash", 0, {"siphash", "toeplitz"}) == 0;
  if (arguments.error()) return std::unexpected(*arguments.error());
  return make_loopback_device(std::move(name), siphash ? FlowHashKind::siphash : FlowHashKind::toeplitz);
}

}  // namespace

std::unique_ptr<NetDevice> make_loopback_device(std::string name, FlowHashKind hash) {
  return std::make_unique<LoopbackDevice>(std::move(name), hash);
}

DeviceKind loopback_device_kind() {
  return {.name = "lo",
          .argument = {},
          .summary = "gets its packets from the program (netif_rx), never by itself",
          .keys = {{"name", "NAME", "what the device is called (default lo)"},
                   {"hash", "siphash|toeplitz", "what RPS hashes its packets by (default siphash)"}},
          .open = open_loopback,
          .wrap = {}};
}

}  // namespace netrx
