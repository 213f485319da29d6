// SPDX-License-Identifier: Apache-2.0
#include "driver/af_packet/packet_device.h"

#include <linux/if_packet.h>

#include <memory>
#include <utility>

#include "driver/af_packet/packet_queues.h"
#include "driver/live/interface.h"
#include "driver/live/live_device.h"

namespace netrx {

namespace {

struct Senders {
  std::size_t count;
  bool qdisc_bypass;
};

/// The sockets of a device: a ring a receive queue (none: it only sends), a sender a send queue.
struct PacketFiles {
  std::vector<PacketRing> rings;
  std::vector<OwnedFd> senders;
};

Result<PacketFiles> open_files(const PacketRequest& request, const Senders& senders) {
  PacketFiles files;
  if (request.queues != 0) {
    auto rings = open_packet_rings(request);
    if (!rings) return std::unexpected(rings.error());
    files.rings = std::move(*rings);
  }
  for (std::size_t i = 0; i < senders.count; ++i) {
    auto sender = open_packet_sender(request.interface, senders.qdisc_bypass);
    if (!sender) return std::unexpected(sender.error());
    files.senders.push_back(std::move(*sender));
  }
  return files;
}

class PacketDevice final : public LiveDeviceOf<PacketRxQueue, PacketTxQueue> {
 public:
  PacketDevice(const PacketRequest& request, const Senders& senders, const LiveOptions& live, PacketFiles files)
      : LiveDeviceOf(request.interface, live, interface_is_ethernet(request.interface)),
        request_(request),
        senders_(senders) {
    for (PacketRing& ring : files.rings)
      rx_.push_back(std::make_unique<PacketRxQueue>(std::move(ring), request_, has_link_header(), life_));
    for (OwnedFd& fd : files.senders) tx_.push_back(std::make_unique<PacketTxQueue>(std::move(fd), has_link_header()));
    follow();
  }
  ~PacketDevice() override { unfollow(); }

  TxFeatures tx_features() const override {
    return {.checksum = true, .scatter = true, .tcp_segmentation = true, .udp_segmentation = false};
  }

 private:
  Result<void> reopen() override {
    auto files = open_files(request_, senders_);
    if (!files) return std::unexpected(files.error());
    // Senders first: what is received may be answered.
    for (std::size_t i = 0; i < tx_.size(); ++i) (void)tx_[i]->resume_with(std::move(files->senders[i]));
    for (std::size_t i = 0; i < rx_.size(); ++i) (void)rx_[i]->resume_with(std::move(files->rings[i]));
    return {};
  }

  const PacketRequest request_;
  const Senders senders_;
};

Result<std::unique_ptr<NetDevice>> open_packet_device(DeviceArguments& arguments, std::size_t queues, bool receives) {
  constexpr int kFanouts[] = {PACKET_FANOUT_HASH, PACKET_FANOUT_CPU, PACKET_FANOUT_LB, PACKET_FANOUT_QM};
  PacketRequest request{.interface = arguments.argument()};
  const LiveOptions live = read_live_options(arguments, request.interface, queues);
  request.queues = receives ? live.queues : 0;
  request.fanout = kFanouts[arguments.choice("fanout", 0, {"hash", "cpu", "lb", "qm"})];
  request.rxhash = arguments.on_off("rxhash", false);
  request.promiscuous = arguments.on_off("promisc", false);
  request.blocks = static_cast<std::uint32_t>(arguments.number("blocks", request.blocks, 2, 4096));
  request.block_timeout_ms =
      static_cast<std::uint32_t>(arguments.duration("block-timeout", std::chrono::milliseconds(1),
                                                    std::chrono::milliseconds(1), std::chrono::seconds(1)) /
                                 std::chrono::milliseconds(1));
  const Senders senders{live.queues, arguments.on_off("qdisc_bypass", false)};
  if (arguments.error()) return std::unexpected(*arguments.error());
  auto files = open_files(request, senders);
  if (!files) return std::unexpected(files.error());
  return std::make_unique<PacketDevice>(request, senders, live, std::move(*files));
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
