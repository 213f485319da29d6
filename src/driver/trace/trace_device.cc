// SPDX-License-Identifier: Apache-2.0
#include "driver/trace/trace_device.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "driver/wrapped_device.h"
#include "wire/eth_type_trans.h"
#include "wire/headers.h"

namespace netrx {

namespace {

/// One line, built without allocation; what does not fit is left out.
class Line {
 public:
  Line& add(std::string_view text) {
    const std::size_t n = std::min(text.size(), text_.size() - size_);
    std::memcpy(text_.data() + size_, text.data(), n);
    size_ += n;
    return *this;
  }
  Line& add(std::uint64_t number, int base = 10, std::size_t digits = 1) {
    std::array<char, 24> buffer;
    const char* end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, base).ptr;
    const auto n = static_cast<std::size_t>(end - buffer.data());
    constexpr std::string_view kZeros = "000000000";
    return add(kZeros.substr(0, digits > n ? digits - n : 0)).add(std::string_view(buffer.data(), n));
  }
  std::string_view text() const { return {text_.data(), size_}; }

 private:
  std::array<char, 256> text_;
  std::size_t size_ = 0;
};

void add_address(Line& line, Be32 address) {
  const std::uint32_t a = to_host(address);
  line.add(a >> 24).add(".").add(a >> 16 & 0xff).add(".").add(a >> 8 & 0xff).add(".").add(a & 0xff);
}

void add_address(Line& line, std::span<const std::uint8_t, 16> address) {
  for (std::size_t i = 0; i < 16; i += 2) line.add(i == 0 ? "" : ":").add(wire::host16(&address[i]), 16);
}

template <class Address>
void add_end(Line& line, Address address, Be16 port, std::string_view separator) {
  add_address(line, address);
  if (port != Be16{}) line.add(separator).add(to_host(port));
}

void add_flow(Line& line, const FlowInput& in) {
  FlowKeys keys;
  dissect(in, keys);
  if (keys.vlan.id_and_priority != 0) line.add(" vlan ").add(keys.vlan.id_and_priority & 0xfffu);
  if (keys.addr_type == FlowAddrType::ipv4) {
    line.add(" ipv4 ");
    add_end(line, keys.ipv4_src(), keys.src_port, ":");
    line.add(" > ");
    add_end(line, keys.ipv4_dst(), keys.dst_port, ":");
  } else if (keys.addr_type == FlowAddrType::ipv6) {
    line.add(" ipv6 ");
    add_end(line, keys.ipv6_src(), keys.src_port, ".");
    line.add(" > ");
    add_end(line, keys.ipv6_dst(), keys.dst_port, ".");
  } else {
    line.add(" ethertype 0x").add(to_host(in.protocol), 16, 4);
    return;
  }
  if (keys.ip_proto == wire::kIpProtoTcp)
    line.add(" tcp");
  else if (keys.ip_proto == wire::kIpProtoUdp)
    line.add(" udp");
  else
    line.add(" proto ").add(keys.ip_proto);
}

class TraceQueue final : public WrappedQueue {
 public:
  TraceQueue(NetDevice& device, std::size_t index, const TraceOptions& options)
      : WrappedQueue(device.queue(index)), device_(device), index_(index), options_(options) {}

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override {
    const std::size_t before = batch.size();
    const std::size_t got = WrappedQueue::poll(context, batch, budget);
    if (options_.polls) {
      Line line = begin(context.now);
      line.add(" poll budget ").add(budget).add(" got ").add(got);
      options_.sink(line.text());
    }
    if (options_.frames)
      for (std::size_t i = before; i < batch.size(); ++i) tell(context.now, *batch[i]);
    return got;
  }

 private:
  Line begin(Nanos now) const {
    constexpr std::uint64_t kSecond = 1'000'000'000;
    const auto nanos = static_cast<std::uint64_t>(now.count());
    Line line;
    line.add(nanos / kSecond).add(".").add(nanos % kSecond, 10, 9).add(" ");
    line.add(device_.name()).add("/rx-").add(index_);
    return line;
  }

  void tell(Nanos now, const Packet& packet) const {
    Line line = begin(now);
    line.add(" frame ").add(packet.rx_seq).add(" ").add(packet.len).add(" bytes");
    FlowInput in = FlowInput::of(packet);
    if (device_.has_link_header()) {
      if (in.len < wire::EthernetView::kSize) return options_.sink(line.text());
      in.protocol = wire::eth_type_trans(packet.linear(), device_.address()).protocol;
      in.data += wire::EthernetView::kSize;
      in.len -= wire::EthernetView::kSize;
    }
    add_flow(line, in);
    options_.sink(line.text());
  }

  NetDevice& device_;
  const std::size_t index_;
  const TraceOptions& options_;
};

class TraceDevice final : public WrappedDevice {
 public:
  TraceDevice(std::unique_ptr<NetDevice> inner, TraceOptions options)
      : WrappedDevice(std::move(inner)), options_(std::move(options)) {
    for (std::size_t i = 0; i < inner_->queue_count(); ++i)
      queues_.push_back(std::make_unique<TraceQueue>(*inner_, i, options_));
  }

 private:
  TraceOptions options_;
};

Result<std::unique_ptr<NetDevice>> wrap_trace(DeviceArguments& arguments, std::unique_ptr<NetDevice> inner) {
  TraceOptions options;
  options.frames = arguments.on_off("frames", options.frames);
  options.polls = arguments.on_off("polls", options.polls);
  if (arguments.error()) return std::unexpected(*arguments.error());
  std::shared_ptr<std::FILE> file(stderr, [](std::FILE*) {});
  if (arguments.given("file")) {
    file.reset(std::fopen(arguments.text("file", "").c_str(), "we"),
               [](std::FILE* f) { return f == nullptr ? 0 : std::fclose(f); });
    if (file == nullptr) {
      arguments.refuse("file", std::string(std::strerror(errno)) + "; give a file that can be written", errno);
      return std::unexpected(*arguments.error());
    }
  }
  options.sink = [file](std::string_view line) {
    std::fprintf(file.get(), "%.*s\n", static_cast<int>(line.size()), line.data());
  };
  return trace_device(std::move(inner), std::move(options));
}

}  // namespace

std::unique_ptr<NetDevice> trace_device(std::unique_ptr<NetDevice> device, TraceOptions options) {
  return std::make_unique<TraceDevice>(std::move(device), std::move(options));
}

DeviceKind trace_device_kind() {
  return {.name = "trace",
          .argument = {},
          .summary = "writes a line for every frame that the device gives out",
          .keys = {{"file", "FILE", "where to (default: standard error)"},
                   {"frames", "on|off", "a line a frame (default on)"},
                   {"polls", "on|off", "a line a poll (default off)"}},
          .open = {},
          .wrap = wrap_trace};
}

}  // namespace netrx
