// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <memory>
#include <utility>

#include "driver/af_xdp/xdp_program.h"
#include "driver/af_xdp/xdp_queues.h"
#include "driver/live/interface.h"
#include "driver/live/live_keys.h"
#include "netrx/af_xdp.h"

namespace netrx {

namespace {

class XdpDevice final : public NetDevice {
 public:
  XdpDevice(std::string interface, const LiveOptions& live, XdpProgram program,
            std::vector<std::unique_ptr<XdpSocket>> sockets)
      : interface_(std::move(interface)),
        name_(live.name),
        address_(interface_address(interface_)),
        limit_(live.frames),
        sockets_(std::move(sockets)),
        program_(std::move(program)) {
    const unsigned index = interface_index(interface_);
    for (const auto& socket : sockets_) {
      if (socket->request().rx_frames != 0) rx_.push_back(std::make_unique<XdpRxQueue>(*socket, index, limit_));
      tx_.push_back(std::make_unique<XdpTxQueue>(*socket));
    }
  }

  std::string_view name() const override { return name_; }
  std::array<std::uint8_t, 6> address() const override { return address_; }
  std::size_t queue_count() const override { return rx_.size(); }
  RxQueue& queue(std::size_t index) override { return *rx_[index]; }
  std::size_t tx_queue_count() const override { return tx_.size(); }
  TxQueue& tx_queue(std::size_t index) override { return *tx_[index]; }
  TxFeatures tx_features() const override {
    return {.checksum = false, .scatter = true, .tcp_segmentation = false, .udp_segmentation = false};
  }
  std::string remark() const override {
    if (interface_index(interface_) == 0) return interface_ + " is gone; nothing more will come from it";
    if (!interface_is_up(interface_))
      return interface_ + " is down; bring it up with: ip link set " + interface_ + " up";
    return {};
  }

 private:
  const std::string interface_;
  const std::string name_;
  const std::array<std::uint8_t, 6> address_;
  FrameLimit limit_;
  const std::vector<std::unique_ptr<XdpSocket>> sockets_;
  const XdpProgram program_;  // goes before the sockets
  std::vector<std::unique_ptr<XdpRxQueue>> rx_;
  std::vector<std::unique_ptr<XdpTxQueue>> tx_;
};

/// "eth0:3" is queue 3 of eth0; without a number: 0.
bool split_queue(const std::string& argument, std::string& interface, std::uint32_t& queue) {
  const std::size_t colon = argument.find(':');
  interface = argument.substr(0, colon);
  if (colon == std::string::npos) return true;
  const char* end = argument.data() + argument.size();
  const auto [at, code] = std::from_chars(argument.data() + colon + 1, end, queue);
  return code == std::errc() && at == end && queue < 256;
}

struct XdpRequest {
  XdpSocketRequest socket;
  XdpMatch match;
  XdpMode mode = XdpMode::automatic;
  bool replace = false;
};

XdpRequest read_request(DeviceArguments& arguments, bool receives) {
  using ZeroCopy = XdpSocketRequest::ZeroCopy;
  XdpRequest request;
  if (!split_queue(arguments.argument(), request.socket.interface, request.socket.queue))
    arguments.refuse("INTERFACE", arguments.argument() + ": write INTERFACE or INTERFACE:QUEUE, as in eth0:1");
  const auto match = XdpMatch::parse(arguments.text("match", "all"));
  if (match)
    request.match = *match;
  else
    arguments.refuse("match", match.error().text);
  constexpr XdpMode kModes[] = {XdpMode::automatic, XdpMode::native, XdpMode::generic};
  request.mode = kModes[arguments.choice("mode", 0, {"auto", "native", "generic"})];
  constexpr ZeroCopy kZeroCopy[] = {ZeroCopy::automatic, ZeroCopy::on, ZeroCopy::off};
  request.socket.zero_copy = kZeroCopy[arguments.choice("zerocopy", 0, {"auto", "on", "off"})];
  request.socket.busy_poll = arguments.on_off("busy-poll", false);
  request.replace = arguments.on_off("replace", false);
  const std::uint64_t frames = arguments.number("frames", request.socket.rx_frames, 64, 65536);
  if ((frames & (frames - 1)) != 0) arguments.refuse("frames", "give a power of two");
  request.socket.rx_frames = receives ? static_cast<std::uint32_t>(frames) : 0;
  return request;
}

Result<std::unique_ptr<NetDevice>> open_xdp_device(DeviceArguments& arguments, std::size_t /*queues*/, bool receives) {
  const XdpRequest request = read_request(arguments, receives);
  const std::string& interface = request.socket.interface;
  const LiveOptions live = read_live_options(arguments, interface, 1);
  if (arguments.error()) return std::unexpected(*arguments.error());
  if (interface_index(interface) == 0) return no_such_interface(interface);
  if (!interface_is_ethernet(interface))
    return fail(EINVAL, "af_xdp: frames of " + interface + " have no Ethernet header; af_packet will do there");

  XdpProgram program;
  if (receives) {
    auto attached = XdpProgram::attach(interface, request.match, request.mode, request.replace);
    if (!attached) return std::unexpected(attached.error());
    program = std::move(*attached);
  }
  std::vector<std::unique_ptr<XdpSocket>> sockets;
  for (std::size_t i = 0; i < live.queues; ++i) {
    XdpSocketRequest one = request.socket;
    one.queue += static_cast<std::uint32_t>(i);
    auto socket = XdpSocket::open(one);
    if (!socket) return std::unexpected(socket.error());
    if (receives)
      if (const auto ok = (*socket)->put_into(program.map.get()); !ok) return std::unexpected(ok.error());
    sockets.push_back(std::move(*socket));
  }
  return std::make_unique<XdpDevice>(interface, live, std::move(program), std::move(sockets));
}

}  // namespace

void add_af_xdp_devices(DeviceCatalog& catalog) {
  DeviceKind kind = live_device_kind(
      "af_xdp", "a driver's receive queue, before the kernel's stack; as --sink: sends by it",
      {{"match", "all|udp|tcp[:PORT]", "what is received; the rest goes on to the kernel (default all)"},
       {"mode", "auto|native|generic", "where the XDP program runs (default auto: native where the driver can)"},
       {"zerocopy", "auto|on|off", "whether the driver writes into netrx's memory itself (default auto)"},
       {"frames", "N", "frames of 4 KiB to receive into, a power of two (default 4096)"},
       {"busy-poll", "on|off", "the kernel's own preferred busy polling (default off)"},
       {"replace", "on|off", "takes the place of an XDP program that is attached already (default off)"}},
      open_xdp_device);
  kind.argument = "INTERFACE[:QUEUE]";
  catalog.add(std::move(kind));
}

}  // namespace netrx
