// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "driver/af_xdp/xdp_program.h"
#include "driver/af_xdp/xdp_queues.h"
#include "driver/live/interface.h"
#include "driver/live/live_device.h"
#include "netrx/af_xdp.h"

namespace netrx {

namespace {

struct XdpRequest {
  XdpSocketRequest socket;  ///< of the first queue
  std::size_t queues = 1;
  XdpAttachment program;

  bool receives() const { return socket.rx_frames != 0; }
};

/// What a device has of the kernel while its interface is there.
struct XdpFiles {
  std::vector<std::unique_ptr<XdpSocket>> sockets;
  XdpProgram program;  // goes before the sockets
};

Result<XdpFiles> open_files(const XdpRequest& request, std::span<const std::unique_ptr<XdpMemory>> memories) {
  XdpFiles files;
  if (request.receives()) {
    auto attached = XdpProgram::attach(request.program);
    if (!attached) return std::unexpected(attached.error());
    files.program = std::move(*attached);
  }
  for (std::size_t i = 0; i < request.queues; ++i) {
    XdpSocketRequest one = request.socket;
    one.queue += static_cast<std::uint32_t>(i);
    auto socket = XdpSocket::open(one, *memories[i]);
    if (!socket) return std::unexpected(socket.error());
    if (request.receives())
      if (const auto ok = (*socket)->put_into(files.program.map.get()); !ok) return std::unexpected(ok.error());
    files.sockets.push_back(std::move(*socket));
  }
  return files;
}

class XdpDevice final : public LiveDeviceOf<XdpRxQueue, XdpTxQueue> {
 public:
  XdpDevice(const XdpRequest& request, const LiveOptions& live, std::vector<std::unique_ptr<XdpMemory>> memories,
            XdpFiles files)
      : LiveDeviceOf(request.socket.interface, live, true),
        request_(request),
        memories_(std::move(memories)),
        no_metadata_(files.program.no_metadata),
        files_(std::move(files)) {
    for (std::size_t i = 0; i < request_.queues; ++i) {
      XdpMemory& memory = *memories_[i];
      XdpSocket& socket = *files_.sockets[i];
      if (request_.receives()) rx_.push_back(std::make_unique<XdpRxQueue>(memory, socket, has_metadata(), life_));
      tx_.push_back(std::make_unique<XdpTxQueue>(memory, socket));
    }
    follow();
  }
  ~XdpDevice() override { unfollow(); }

  TxFeatures tx_features() const override {
    return {.checksum = false, .scatter = true, .tcp_segmentation = false, .udp_segmentation = false};
  }

 private:
  /// The sockets that have the memory are closed before others get it.
  Result<void> reopen() override {
    for (const auto& queue : rx_) queue->suspend();
    for (const auto& queue : tx_) queue->suspend();
    {
      XdpFiles old;
      std::swap(files_, old);
    }
    auto files = open_files(request_, memories_);
    if (!files) return std::unexpected(files.error());
    files_ = std::move(*files);
    for (std::size_t i = 0; i < tx_.size(); ++i) tx_[i]->resume_with(*files_.sockets[i]);
    for (std::size_t i = 0; i < rx_.size(); ++i) rx_[i]->resume_with(*files_.sockets[i], has_metadata());
    return {};
  }
  std::string more_remarks() const override {
    return no_metadata_.empty() ? std::string() : "packets carry no hash of the driver's: " + no_metadata_;
  }
  bool has_metadata() const { return files_.program.functions.any(); }

  const XdpRequest request_;
  const std::vector<std::unique_ptr<XdpMemory>> memories_;  ///< by queue
  const std::string no_metadata_;                           ///< why not; empty: it was not wanted, or is there
  XdpFiles files_;
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

XdpRequest read_request(DeviceArguments& arguments, bool receives) {
  using ZeroCopy = XdpSocketRequest::ZeroCopy;
  XdpRequest request;
  if (!split_queue(arguments.argument(), request.socket.interface, request.socket.queue))
    arguments.refuse("INTERFACE", arguments.argument() + ": write INTERFACE or INTERFACE:QUEUE, as in eth0:1");
  const auto match = XdpMatch::parse(arguments.text("match", "all"));
  XdpAttachment& program = request.program;
  program.interface = request.socket.interface;
  if (match)
    program.match = *match;
  else
    arguments.refuse("match", match.error().text);
  constexpr XdpMode kModes[] = {XdpMode::automatic, XdpMode::native, XdpMode::generic};
  program.mode = kModes[arguments.choice("mode", 0, {"auto", "native", "generic"})];
  constexpr ZeroCopy kZeroCopy[] = {ZeroCopy::automatic, ZeroCopy::on, ZeroCopy::off};
  request.socket.zero_copy = kZeroCopy[arguments.choice("zerocopy", 0, {"auto", "on", "off"})];
  request.socket.busy_poll = arguments.on_off("busy-poll", false);
  using Metadata = XdpAttachment::Metadata;
  constexpr Metadata kMetadata[] = {Metadata::automatic, Metadata::on, Metadata::off};
  program.metadata = kMetadata[arguments.choice("metadata", 0, {"auto", "on", "off"})];
  program.replace = arguments.on_off("replace", false);
  const std::uint64_t frames = arguments.number("frames", request.socket.rx_frames, 64, 65536);
  if ((frames & (frames - 1)) != 0) arguments.refuse("frames", "give a power of two");
  request.socket.rx_frames = receives ? static_cast<std::uint32_t>(frames) : 0;
  return request;
}

Result<std::unique_ptr<NetDevice>> open_xdp_device(DeviceArguments& arguments, std::size_t /*queues*/, bool receives) {
  XdpRequest request = read_request(arguments, receives);
  const std::string& interface = request.socket.interface;
  const LiveOptions live = read_live_options(arguments, interface, 1);
  request.queues = live.queues;
  if (arguments.error()) return std::unexpected(*arguments.error());
  if (interface_index(interface) == 0) return no_such_interface(interface);
  if (!interface_is_ethernet(interface))
    return fail(EINVAL, "af_xdp: frames of " + interface + " have no Ethernet header; af_packet will do there");
  std::vector<std::unique_ptr<XdpMemory>> memories;
  for (std::size_t i = 0; i < request.queues; ++i) {
    auto memory = XdpMemory::create(request.socket);
    if (!memory) return std::unexpected(memory.error());
    memories.push_back(std::move(*memory));
  }
  auto files = open_files(request, memories);
  if (!files) return std::unexpected(files.error());
  return std::make_unique<XdpDevice>(request, live, std::move(memories), std::move(*files));
}

}  // namespace

void add_af_xdp_devices(DeviceCatalog& catalog) {
  DeviceKind kind = live_device_kind(
      "af_xdp", "a driver's receive queue, before the kernel's stack; as --sink: sends by it",
      {{"match", "all|udp|tcp[:PORT]", "what is received; the rest goes on to the kernel (default all)"},
       {"mode", "auto|native|generic", "where the XDP program runs (default auto: native where the driver can)"},
       {"zerocopy", "auto|on|off", "whether the driver writes into netrx's memory itself (default auto)"},
       {"metadata", "auto|on|off", "hash, VLAN tag and time stamp of the driver's, Linux 6.3 (default auto)"},
       {"frames", "N", "frames of 4 KiB to receive into, a power of two (default 4096)"},
       {"busy-poll", "on|off", "the kernel's own preferred busy polling (default off)"},
       {"replace", "on|off", "takes the place of an XDP program that is attached already (default off)"}},
      open_xdp_device);
  kind.argument = "INTERFACE[:QUEUE]";
  catalog.add(std::move(kind));
}

}  // namespace netrx
