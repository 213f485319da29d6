// SPDX-License-Identifier: Apache-2.0
#include "driver/tun/tun_device.h"

#include <cerrno>
#include <memory>
#include <utility>

#include "driver/live/interface.h"
#include "driver/live/live_device.h"
#include "driver/tun/tun_file.h"
#include "driver/tun/tun_queues.h"

namespace netrx {

namespace {

class TunDevice final : public LiveDeviceOf<TunRxQueue, TunTxQueue> {
 public:
  /// `receives`: else what the kernel sends by the interface is left to it.
  TunDevice(TunFiles files, const TunRequest& request, const LiveOptions& live, bool receives)
      : LiveDeviceOf(request.interface, live, request.ethernet), request_(request), files_(std::move(files)) {
    const FrameFormat format{.ethernet = request.ethernet, .vnet_hdr = request.vnet_hdr};
    for (const OwnedFd& fd : files_.queues) {
      if (receives) rx_.push_back(std::make_unique<TunRxQueue>(fd.get(), format, life_));
      tx_.push_back(std::make_unique<TunTxQueue>(fd.get(), format));
    }
    follow();
  }
  ~TunDevice() override { unfollow(); }

  /// The kernel's end has one; this one is whatever the frames are addressed to.
  std::array<std::uint8_t, 6> address() const override { return {}; }
  TxFeatures tx_features() const override {
    return {.checksum = request_.vnet_hdr,
            .scatter = true,
            .tcp_segmentation = request_.vnet_hdr,
            .udp_segmentation = request_.vnet_hdr && files_.udp_segmentation};
  }

 private:
  Result<void> reopen() override {
    TunRequest request = request_;
    request.queues = tx_.size();
    request.fewer_queues = false;
    auto files = open_tun(request);
    if (!files) return std::unexpected(files.error());
    std::swap(files_.queues, files->queues);
    for (std::size_t i = 0; i < tx_.size(); ++i) tx_[i]->resume_with(files_.queues[i].get());
    for (std::size_t i = 0; i < rx_.size(); ++i) rx_[i]->resume_with(files_.queues[i].get());
    return {};
  }

  const TunRequest request_;
  TunFiles files_;
};

Result<std::unique_ptr<NetDevice>> open_tun_device(DeviceArguments& arguments, bool ethernet, std::size_t queues,
                                                   bool receives) {
  TunRequest request{.interface = arguments.argument(), .ethernet = ethernet};
  LiveOptions live = read_live_options(arguments, request.interface, queues);
  request.queues = live.queues;
  request.fewer_queues = !arguments.given("queues");
  request.vnet_hdr = arguments.on_off("vnet_hdr", true);
  request.persist = arguments.on_off("persist", false);
  // One that is made here comes back by nobody else's hand: somebody wanted it gone.
  if (interface_index(request.interface) == 0) live.reconnect = arguments.on_off("reconnect", false);
  if (arguments.error()) return std::unexpected(*arguments.error());
  auto files = open_tun(request);
  if (!files) return std::unexpected(files.error());
  return std::make_unique<TunDevice>(std::move(*files), request, live, receives);
}

DeviceKind kind_of(bool ethernet) {
  return live_device_kind(ethernet ? "tap" : "tun",
                          ethernet ? "the far end of a TAP interface, which is made if there is none"
                                   : "the same of a TUN interface: packets without a link header",
                          {{"vnet_hdr", "on|off", "checksums and large packets cross unmade and uncut (default on)"},
                           {"persist", "on|off", "the interface stays when netrx ends (default off)"}},
                          [ethernet](DeviceArguments& arguments, std::size_t queues, bool receives) {
                            return open_tun_device(arguments, ethernet, queues, receives);
                          });
}

}  // namespace

DeviceKind tap_device_kind() { return kind_of(true); }
DeviceKind tun_device_kind() { return kind_of(false); }

}  // namespace netrx
