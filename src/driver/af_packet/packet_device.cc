// SPDX-License-Identifier: Apache-2.0
#include "driver/af_packet/packet_device.h"

#include <linux/if_packet.h>

#include <memory>
#include <utility>

#include "driver/af_packet/packet_queues.h"
#include "driver/live/interface.h"
#include "driver/live/live_keys.h"

namespace netrx {

namespace {

class PacketDevice final : public NetDevice {
 public:
  PacketDevice(PacketRequest request, const LiveOptions& live, std::vector<PacketRing> rings,
               std::vector<OwnedFd> senders)
      : request_(std::move(request)),
        name_(live.name),
        address_(interface_address(request_.interface)),
        ethernet_(interface_is_ethernet(request_.interface)),
        limit_(live.frames),
        rings_(std::move(rings)),
        senders_(std::move(senders)) {
    for (const PacketRing& ring : rings_)
      rx_.push_back(std::make_unique<PacketRxQueue>(ring, request_, ethernet_, limit_));
    for (const OwnedFd& fd : senders_) tx_.push_back(std::make_unique<PacketTxQueue>(fd.get(), ethernet_));
  }

  std::string_view name() const override { return name_; }
  std::array<std::uint8_t, 6> address() const override { return address_; }
  std::size_t queue_count() const override { return rx_.size(); }
  RxQueue& queue(std::size_t index) override { return *rx_[index]; }
  bool has_link_header() const override { return ethernet_; }
  std::size_t tx_queue_count() const override { return tx_.size(); }
  TxQueue& tx_queue(std::size_t index) override { return *tx_[index]; }
  TxFeatures tx_features() const override {
    return {.checksum = true, .scatter = true, .tcp_segmentation = true, .udp_segmentation = false};
  }

  std::string remark() const override {
    const std::string& interface = request_.interface;
    for (const auto& queue : rx_)
      if (queue->exhausted() && queue->trouble() != 0)
        return interface + " is gone (" + errno_text(queue->trouble()) + "); nothing more will come from it";
    if (!interface_is_up(interface))
      return interface_index(interface) == 0
                 ? interface + " is gone"
                 : interface + " is down; bring it up with: ip link set " + interface + " up";
    for (const auto& queue : tx_)
      if (queue->trouble() != 0)
        return interface + ": the kernel refused a packet (" + errno_text(queue->trouble()) + ")";
    return {};
  }

 private:
  const PacketRequest request_;
  const std::string name_;
  const std::array<std::uint8_t, 6> address_;
  const bool ethernet_;
  FrameLimit limit_;
  const std::vector<PacketRing> rings_;
  const std::vector<OwnedFd> senders_;
  std::vector<std::unique_ptr<PacketRxQueue>> rx_;
  std::vector<std::unique_ptr<PacketTxQueue>> tx_;
};

Result<std::unique_ptr<NetDevice>> open_packet_device(DeviceArguments& arguments, std::size_t queues, bool receives) {
  constexpr int kFanouts[] = {PACKET_FANOUT_HASH, PACKET_FANOUT_CPU, PACKET_FANOUT_LB, PACKET_FANOUT_QM};
  PacketRequest request{.interface = arguments.argument()};
  const LiveOptions live = read_live_options(arguments, request.interface, queues);
  request.queues = live.queues;
  request.fanout = kFanouts[arguments.choice("fanout", 0, {"hash", "cpu", "lb", "qm"})];
  request.rxhash = arguments.on_off("rxhash", false);
  request.promiscuous = arguments.on_off("promisc", false);
  request.blocks = static_cast<std::uint32_t>(arguments.number("blocks", request.blocks, 2, 4096));
  request.block_timeout_ms =
      static_cast<std::uint32_t>(arguments.duration("block-timeout", std::chrono::milliseconds(1),
                                                    std::chrono::milliseconds(1), std::chrono::seconds(1)) /
                                 std::chrono::milliseconds(1));
  const bool bypass = arguments.on_off("qdisc_bypass", false);
  if (arguments.error()) return std::unexpected(*arguments.error());

  std::vector<PacketRing> rings;
  if (receives) {
    auto opened = open_packet_rings(request);
    if (!opened) return std::unexpected(opened.error());
    rings = std::move(*opened);
  }
  std::vector<OwnedFd> senders;
  for (std::size_t i = 0; i < live.queues; ++i) {
    auto sender = open_packet_sender(request.interface, bypass);
    if (!sender) return std::unexpected(sender.error());
    senders.push_back(std::move(*sender));
  }
  return std::make_unique<PacketDevice>(std::move(request), live, std::move(rings), std::move(senders));
}

}  // namespace

DeviceKind packet_device_kind() {
  return live_device_kind(
      "af_packet", "what an interface receives, beside the kernel; as --sink: sends by it",
      {{"fanout", "hash|cpu|lb|qm", "how the kernel spreads frames over the queues (default hash: by flow)"},
       {"rxhash", "on|off", "packets carry the kernel's flow hash (default off)"},
       {"promisc", "on|off", "also frames for other addresses (default off)"},
       {"blocks", "N", "blocks of 256 KiB in each queue's ring (default 64)"},
       {"block-timeout", "TIME", "how long a block waits to be filled, whole milliseconds (default 1ms)"},
       {"qdisc_bypass", "on|off", "sends past the interface's queue discipline (default off)"}},
      open_packet_device);
}

}  // namespace netrx
