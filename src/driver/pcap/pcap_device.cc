// SPDX-License-Identifier: Apache-2.0
#include "driver/pcap/pcap_device.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "driver/pace.h"
#include "driver/pcap/dump_device.h"
#include "driver/pcap/pcap_sink.h"
#include "driver/rss.h"
#include "driver/source_queue.h"

namespace netrx {

namespace {

/// A frame's place in the capture, and what the card knows of it.
struct QueuedFrame {
  std::uint32_t index;
  FlowHash hash;
};

/// What all queues of the device read.
struct Playback {
  Capture capture;
  PcapOptions options;
  SteadyRate rate;
  Nanos period{0};  ///< recorded pace: from one pass to the next
  StartTime start;
};

class PcapSource {
 public:
  using Ticket = std::uint32_t;  ///< index into frames_

  PcapSource(Playback& playback, std::vector<QueuedFrame> frames)
      : playback_(&playback), frames_(std::move(frames)), loops_(playback.options.loops) {
    const bool any = std::ranges::any_of(
        frames_, [&](const QueuedFrame& frame) { return playback.capture.frames[frame.index].receivable(); });
    if (!any) loops_ = 1;  // nothing to play again
  }

  bool paced() const { return playback_->options.rate.kind != RateOption::max; }
  bool empty() const { return frames_.empty() || loops_ == 0; }

  void begin(Nanos now) {
    started_ = playback_->start.begin(now);
    set_due();
  }
  Nanos next_due(Nanos) const { return due_; }

  Ticket take() {
    const Ticket ticket = next_++;
    if (next_ == frames_.size()) {
      next_ = 0;
      if (++pass_ == loops_ && loops_ != PcapOptions::kForever) {
        due_ = kNever;
        return ticket;
      }
    }
    set_due();
    return ticket;
  }

  std::uint32_t size(Ticket ticket) const { return captured(ticket).size; }

  void write(Ticket ticket, Packet& packet) const {
    const Capture& capture = playback_->capture;
    const CapturedFrame& frame = captured(ticket);
    std::memcpy(packet.data, capture.bytes.data() + frame.at, frame.size);
    packet.mac_header = static_cast<std::uint16_t>(packet.headroom());
    if (!capture.has_link_header()) {
      packet.network_header = packet.transport_header = packet.mac_header;
      packet.protocol = frame.protocol;
      packet.pkt_type = frame.kind;
    }
    if (!playback_->options.queue.rxhash) return;
    packet.hash = frames_[ticket].hash.hash;
    packet.l4_hash = frames_[ticket].hash.l4;
  }

 private:
  const CapturedFrame& captured(Ticket ticket) const { return playback_->capture.frames[frames_[ticket].index]; }

  void set_due() {
    const std::uint32_t index = frames_[next_].index;
    switch (playback_->options.rate.kind) {
      case RateOption::max: due_ = Nanos{0}; break;
      case RateOption::steady:
        due_ = started_ + playback_->rate.at(pass_ * playback_->capture.frames.size() + index);
        break;
      case RateOption::recorded:
        due_ = started_ + playback_->period * static_cast<std::int64_t>(pass_) + playback_->capture.frames[index].time;
        break;
    }
  }

  Playback* playback_;
  std::vector<QueuedFrame> frames_;  ///< of this queue
  std::uint64_t loops_;
  std::uint64_t pass_ = 0;
  std::uint32_t next_ = 0;
  Nanos started_{0};
  Nanos due_{0};
};

/// Frames that can't be received count on queue 0, as what is not IP does.
std::vector<std::vector<QueuedFrame>> spread(const Capture& capture, std::size_t queues) {
  const Rss rss(queues);
  std::vector<std::vector<QueuedFrame>> spread_frames(queues);
  for (std::uint32_t i = 0; i < capture.frames.size(); ++i) {
    const CapturedFrame& frame = capture.frames[i];
    const std::span<const std::uint8_t> bytes = capture.bytes_of(frame);
    const RssChoice choice =
        capture.has_link_header()
            ? rss.choose_ethernet(bytes)
            : rss.choose(
                  {.data = bytes.data(), .len = static_cast<std::uint32_t>(bytes.size()), .protocol = frame.protocol});
    spread_frames[choice.queue].push_back({i, choice.hash});
  }
  return spread_frames;
}

std::string describe(const Capture& capture, const std::string& file) {
  std::string text;
  const auto say = [&](const std::string& what) { text += (text.empty() ? file + ": " : "; ") + what; };
  if (capture.frames.empty() && capture.damage.empty()) say("holds no frames");
  if (capture.cut_frames != 0)
    say(std::to_string(capture.cut_frames) + " of " + std::to_string(capture.frames.size()) +
        " frames were cut when captured (snap length) and are received as they are");
  if (!capture.damage.empty()) say(capture.damage);
  return text;
}

class PcapDevice final : public NetDevice {
 public:
  PcapDevice(Capture capture, const PcapOptions& options, const std::string& file) : remark_(describe(capture, file)) {
    playback_.capture = std::move(capture);
    playback_.options = options;
    if (options.rate.kind == RateOption::steady) playback_.rate = SteadyRate(options.rate.frames_a_second, 1, 1);
    const std::vector<CapturedFrame>& frames = playback_.capture.frames;
    if (!frames.empty()) {
      // The next pass starts one average gap behind the last frame.
      const auto gaps = static_cast<std::int64_t>(frames.size() > 1 ? frames.size() - 1 : 1);
      playback_.period = frames.back().time + std::max(frames.back().time / gaps, Nanos{1});
    }
    for (std::vector<QueuedFrame>& queued : spread(playback_.capture, options.queue.queues))
      queues_.push_back(std::make_unique<SourceQueue<PcapSource>>(
          PcapSource(playback_, std::move(queued)),
          SourceQueue<PcapSource>::Limits{options.queue.ring, playback_.capture.largest_frame}));
  }

  std::string_view name() const override { return playback_.options.queue.name; }
  std::size_t queue_count() const override { return queues_.size(); }
  RxQueue& queue(std::size_t index) override { return *queues_[index]; }
  FlowHashKind flow_hash() const override { return playback_.options.queue.hash; }
  bool has_link_header() const override { return playback_.capture.has_link_header(); }
  std::string remark() const override { return remark_; }

 private:
  const std::string remark_;
  Playback playback_;
  std::vector<std::unique_ptr<SourceQueue<PcapSource>>> queues_;
};

Result<std::unique_ptr<NetDevice>> open_pcap(DeviceArguments& arguments, const CaptureProgress& progress) {
  PcapOptions options;
  options.queue = read_queue_options(arguments, options.queue.name);
  options.rate = read_rate(arguments, true);
  options.loops = arguments.text("loop", "1") == "forever" ? PcapOptions::kForever
                                                           : arguments.number("loop", 1, 1, std::uint64_t{1} << 32);
  CaptureOptions reading{.progress = progress};
  reading.max_frames = arguments.number("max-frames", std::uint64_t{1} << 32, 1, std::uint64_t{1} << 32) - 1;
  if (arguments.given("max-frames")) ++reading.max_frames;
  if (arguments.error()) return std::unexpected(*arguments.error());
  auto capture = read_capture_file(arguments.argument(), std::move(reading));
  if (!capture) return std::unexpected(Error{capture.error().code, "pcap: " + capture.error().text});
  return make_pcap_device(std::move(*capture), options, arguments.argument());
}

}  // namespace

std::unique_ptr<NetDevice> make_pcap_device(Capture capture, const PcapOptions& options, const std::string& file) {
  return std::make_unique<PcapDevice>(std::move(capture), options, file);
}

DeviceKind pcap_device_kind(CaptureProgress progress) {
  DeviceKind kind{.name = "pcap",
                  .argument = "FILE",
                  .summary = "plays a pcap or pcapng capture; FILE - is the standard input; as --sink: writes one",
                  .keys = {},
                  .open = {},
                  .wrap = {}};
  kind.open = [progress = std::move(progress)](DeviceArguments& arguments) { return open_pcap(arguments, progress); };
  kind.open_sink = [](DeviceArguments& arguments, std::size_t) { return open_pcap_sink(arguments); };
  kind.keys = {
      {"loop", "N|forever", "how often it is played (default 1)"},
      {"rate", "PPS|recorded|max",
       "frames a second over all queues, the recorded pace, or one always ready (default max)"},
      {"max-frames", "N", "read only the first N frames (default: all)"},
      {"link", "ethernet|cooked", "as --sink: what frames are written with (default ethernet)"},
  };
  std::ranges::move(queue_keys(), std::back_inserter(kind.keys));
  return kind;
}

void add_pcap_devices(DeviceCatalog& catalog, CaptureProgress progress) {
  catalog.add(pcap_device_kind(std::move(progress)));
  catalog.add(dump_device_kind());
}

}  // namespace netrx
