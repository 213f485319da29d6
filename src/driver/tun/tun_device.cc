// SPDX-License-Identifier: Apache-2.0
#include "driver/tun/tun_device.h"

#include <cerrno>
#include <memory>
#include <utility>

#include "driver/live/interface.h"
#include "driver/live/live_keys.h"
#include "driver/tun/tun_file.h"
#include "driver/tun/tun_queues.h"

namespace netrx {

namespace {

class TunDevice final : public NetDevice {
 public:
  TunDevice(TunFiles files, const TunRequest& request, std::string name, std::uint64_t frames)
      : request_(request), name_(std::move(name)), limit_(frames), files_(std::move(files)) {
    const FrameFormat format{.ethernet = request.ethernet, .vnet_hdr = request.vnet_hdr};
    for (const OwnedFd& fd : files_.queues) {
      rx_.push_back(std::make_unique<TunRxQueue>(fd.get(), format, limit_));
      tx_.push_back(std::make_unique<TunTxQueue>(fd.get(), format));
    }
  }

  std::string_view name() const override { return name_; }
  std::size_t queue_count() const override { return rx_.size(); }
  RxQueue& queue(std::size_t index) override { return *rx_[index]; }
  bool has_link_header() const override { return request_.ethernet; }
  std::size_t tx_queue_count() const override { return tx_.size(); }
  TxQueue& tx_queue(std::size_t index) override { return *tx_[index]; }
  TxFeatures tx_features() const override {
    return {.checksum = request_.vnet_hdr,
            .scatter = true,
            .tcp_segmentation = request_.vnet_hdr,
            .udp_segmentation = request_.vnet_hdr && files_.udp_segmentation};
  }

  std::string remark() const override {
    for (const auto& queue : rx_)
      if (queue->exhausted() && queue->trouble() != 0)
        return request_.interface + " is gone (" + errno_text(queue->trouble()) + "); nothing more will come from it";
    // A file stays attached to an interface that was renamed or moved to another namespace; then there is nothing to
    // say.
    if (interface_index(request_.interface) != 0 && !interface_is_up(request_.interface))
      return request_.interface + " is down; bring it up with: ip link set " + request_.interface + " up";
    for (const auto& queue : tx_)
      if (queue->trouble() != 0)
        return request_.interface + ": the kernel refused a packet (" + errno_text(queue->trouble()) + ")";
    return {};
  }

 private:
  const TunRequest request_;
  const std::string name_;
  FrameLimit limit_;
  const TunFiles files_;
  std::vector<std::unique_ptr<TunRxQueue>> rx_;
  std::vector<std::unique_ptr<TunTxQueue>> tx_;
};

Result<std::unique_ptr<NetDevice>> open_tun_device(DeviceArguments& arguments, std::size_t queues, bool ethernet) {
  TunRequest request{.interface = arguments.argument(), .ethernet = ethernet};
  const LiveOptions live = read_live_options(arguments, request.interface, queues);
  request.queues = live.queues;
  request.fewer_queues = !arguments.given("queues");
  request.vnet_hdr = arguments.on_off("vnet_hdr", true);
  request.persist = arguments.on_off("persist", false);
  if (arguments.error()) return std::unexpected(*arguments.error());
  auto files = open_tun(request);
  if (!files) return std::unexpected(files.error());
  return std::make_unique<TunDevice>(std::move(*files), request, live.name, live.frames);
}

DeviceKind kind_of(bool ethernet) {
  return live_device_kind(ethernet ? "tap" : "tun",
                          ethernet ? "the far end of a TAP interface, which is made if there is none"
                                   : "the same of a TUN interface: packets without a link header",
                          {{"vnet_hdr", "on|off", "checksums and large packets cross unmade and uncut (default on)"},
                           {"persist", "on|off", "the interface stays when netrx ends (default off)"}},
                          [ethernet](DeviceArguments& arguments, std::size_t queues, bool /*receives*/) {
                            return open_tun_device(arguments, queues, ethernet);
                          });
}

}  // namespace

DeviceKind tap_device_kind() { return kind_of(true); }
DeviceKind tun_device_kind() { return kind_of(false); }

}  // namespace netrx
