// SPDX-License-Identifier: Apache-2.0
#include "driver/gen/gen_device.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "driver/gen/gen_flows.h"
#include "driver/gen/zipf.h"
#include "driver/pace.h"
#include "driver/rss.h"
#include "driver/source_queue.h"

namespace netrx {

namespace {

/// Sizes by number of frames: of twelve, seven small, four middle, one full.
constexpr std::array<std::uint32_t, 12> kImix{60, 60, 60, 60, 60, 60, 60, 590, 590, 590, 590, 1514};

/// What one queue sends.
struct QueueShare {
  std::vector<GenFlow> flows;
  std::vector<std::uint64_t> weights;
  std::uint64_t weight = 0;  ///< sum of weights
  std::uint64_t count = 0;   ///< frames in all
};

class GenSource {
 public:
  using Ticket = GenTicket;

  GenSource(const GenOptions& options, QueueShare share, std::uint64_t whole_weight, StartTime& start, Prng prng)
      : options_(options), flows_(std::move(share.flows)), left_(share.count), start_(&start), prng_(prng) {
    if (flows_.empty()) return;
    choice_.emplace(share.weights);
    if (paced()) rate_ = SteadyRate(options.rate.frames_a_second, share.weight, whole_weight);
  }

  bool paced() const { return options_.rate.kind == RateOption::steady; }
  bool empty() const { return flows_.empty() || left_ == 0; }

  void begin(Nanos now) {
    started_ = start_->begin(now);
    stop_ = options_.time > Nanos{0} ? started_ + options_.time : kNever;
    due_ = paced() ? started_ : Nanos{0};
  }

  Nanos next_due(Nanos now) const {
    if (left_ == 0 || (paced() ? due_ : now) >= stop_) return kNever;
    return due_;
  }

  Ticket take() {
    if (burst_left_ == 0) {
      flow_ = choice_->draw(prng_);
      burst_left_ = options_.burst;
    }
    GenFlow& flow = flows_[flow_];
    const Ticket ticket{flow_, std::max(draw_size(), smallest_frame(flow)), flow.sequence, flow.tcp_sequence};
    ++flow.sequence;
    if (flow.tcp) flow.tcp_sequence += ticket.size - flow.header_size;
    if (left_ != kEndless) --left_;
    ++position_;
    if (--burst_left_ == 0 && paced()) due_ = started_ + rate_.at(position_);
    return ticket;
  }

  std::uint32_t size(const Ticket& ticket) const { return ticket.size; }

  void write(const Ticket& ticket, Packet& packet) const {
    const GenFlow& flow = flows_[ticket.flow];
    write_gen_frame(flow, ticket, packet.data);
    packet.mac_header = static_cast<std::uint16_t>(packet.headroom());
    if (!options_.queue.rxhash) return;
    packet.hash = flow.hash;
    packet.l4_hash = flow.l4_hash;
  }

  static constexpr std::uint64_t kEndless = ~std::uint64_t{0};

 private:
  std::uint32_t draw_size() {
    if (options_.sizes == GenOptions::Sizes::imix) return kImix[prng_.below(kImix.size())];
    if (options_.size_min == options_.size_max) return options_.size_min;
    return static_cast<std::uint32_t>(prng_.between(options_.size_min, options_.size_max));
  }

  GenOptions options_;
  std::vector<GenFlow> flows_;
  std::optional<AliasTable> choice_;
  SteadyRate rate_;
  std::uint64_t left_;
  std::uint64_t position_ = 0;  ///< frames taken
  std::uint32_t burst_left_ = 0;
  std::uint32_t flow_ = 0;
  StartTime* start_;
  Nanos started_{0};
  Nanos stop_ = kNever;
  Nanos due_{0};
  Prng prng_;
};

/// Every queue's part of `count` frames, by weight; what rounding leaves over goes to the first queues that send.
void share_count(std::uint64_t count, std::uint64_t whole_weight, std::vector<QueueShare>& shares) {
  __extension__ using Wide = unsigned __int128;
  std::uint64_t given = 0;
  for (QueueShare& share : shares) {
    share.count = static_cast<std::uint64_t>(static_cast<Wide>(count) * share.weight / whole_weight);
    given += share.count;
  }
  for (QueueShare& share : shares) {
    if (given == count) return;
    if (share.weight == 0) continue;
    ++share.count;
    ++given;
  }
}

std::vector<QueueShare> share_flows(const GenOptions& options) {
  std::vector<QueueShare> shares(options.queue.queues);
  const Rss rss(options.queue.queues);
  const std::vector<std::uint64_t> weights = zipf_weights(options.flows, options.zipf);
  std::vector<GenFlow> flows = make_gen_flows(options);
  for (std::size_t i = 0; i < flows.size(); ++i) {
    QueueShare& share = shares[place_flow(rss, flows[i])];
    share.flows.push_back(flows[i]);
    share.weights.push_back(weights[i]);
    share.weight += weights[i];
  }
  const std::uint64_t whole = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
  if (options.count == 0)
    for (QueueShare& share : shares) share.count = GenSource::kEndless;
  else
    share_count(options.count, whole, shares);
  return shares;
}

class GenDevice final : public NetDevice {
 public:
  explicit GenDevice(const GenOptions& options) : options_(options) {
    std::vector<QueueShare> shares = share_flows(options);
    std::uint64_t whole = 0;
    for (const QueueShare& share : shares) whole += share.weight;
    const std::uint32_t largest = options.sizes == GenOptions::Sizes::imix ? kImix.back() : options.size_max;
    Prng prng(~options.seed);
    for (QueueShare& share : shares) {
      GenSource source(options_, std::move(share), whole, start_, prng.fork());
      queues_.push_back(std::make_unique<SourceQueue<GenSource>>(
          std::move(source), SourceQueue<GenSource>::Limits{options.queue.ring, std::max(largest, kSmallestMost)}));
    }
  }

  std::string_view name() const override { return options_.queue.name; }
  std::array<std::uint8_t, 6> address() const override { return kGenAddress; }
  std::size_t queue_count() const override { return queues_.size(); }
  RxQueue& queue(std::size_t index) override { return *queues_[index]; }
  FlowHashKind flow_hash() const override { return options_.queue.hash; }

 private:
  /// Of all the flows, the largest smallest frame.
  static constexpr std::uint32_t kSmallestMost = GenFlow::kMaxHeader + sizeof(GenPayload);

  GenOptions options_;
  StartTime start_;
  std::vector<std::unique_ptr<SourceQueue<GenSource>>> queues_;
};

void read_sizes(DeviceArguments& arguments, GenOptions& options) {
  const std::string text = arguments.text("size", "64");
  if (text == "imix") {
    options.sizes = GenOptions::Sizes::imix;
    return;
  }
  const std::size_t dash = text.find('-');
  DeviceArguments ends(arguments.kind(), "", {{"min", text.substr(0, dash)}, {"max", text.substr(dash + 1)}});
  constexpr std::uint32_t kLow = GenOptions::kSmallest, kHigh = GenOptions::kLargest;
  options.size_min = static_cast<std::uint32_t>(ends.number("min", kLow, kLow, kHigh));
  options.size_max = static_cast<std::uint32_t>(ends.number("max", kLow, kLow, kHigh));
  if (ends.error() || options.size_max < options.size_min)
    arguments.refuse("size",
                     "give a frame size of " + std::to_string(kLow) + " to " + std::to_string(kHigh) +
                         " bytes, a range such as 64-1500, or imix",
                     ends.error() ? ends.error()->code : EINVAL);
}

Result<std::unique_ptr<NetDevice>> open_gen(DeviceArguments& arguments) {
  GenOptions options;
  options.queue = read_queue_options(arguments, "gen0");
  options.flows = static_cast<std::uint32_t>(arguments.number("flows", options.flows, 1, GenOptions::kMostFlows));
  options.zipf = static_cast<std::uint32_t>(arguments.thousandths("zipf", options.zipf, 0, 10'000));
  read_sizes(arguments, options);
  options.proto = static_cast<GenOptions::Proto>(arguments.choice("proto", 0, {"udp", "tcp", "mix"}));
  options.ipv6_percent = static_cast<std::uint32_t>(arguments.number("ipv6", 0, 0, 100));
  options.vlan = static_cast<std::uint16_t>(arguments.number("vlan", 0, 1, 4094));
  options.burst = static_cast<std::uint32_t>(arguments.number("burst", 1, 1, 1u << 16));
  options.rate = read_rate(arguments, false);
  options.count = arguments.number("count", 0, 1, std::uint64_t{1} << 62);
  options.time = arguments.duration("time", Nanos{0}, Nanos{1}, std::chrono::hours(24 * 365));
  options.seed = arguments.number("seed", options.seed, 0, ~std::uint64_t{0});
  if (arguments.error()) return std::unexpected(*arguments.error());
  return make_gen_device(options);
}

}  // namespace

std::unique_ptr<NetDevice> make_gen_device(const GenOptions& options) { return std::make_unique<GenDevice>(options); }

DeviceKind gen_device_kind() {
  DeviceKind kind{.name = "gen",
                  .argument = {},
                  .summary = "makes its frames itself, the same for the same seed",
                  .keys = {},
                  .open = open_gen,
                  .wrap = {}};
  kind.keys = {
      {"flows", "N", "how many flows, at most 1048576 (default 1024)"},
      {"zipf", "S", "flow i has weight 1/i^S; 0: all the same (default 1.0)"},
      {"size", "BYTES|MIN-MAX|imix",
       "of a frame without its check sequence (default 64); what a flow's headers need is the least"},
      {"proto", "udp|tcp|mix", "what the flows are (default udp)"},
      {"ipv6", "PERCENT", "flows that are IPv6 (default 0)"},
      {"vlan", "ID", "frames carry an 802.1Q tag (default: none)"},
      {"burst", "N", "frames of one flow in a row, which arrive together (default 1)"},
      {"rate", "PPS|max", "frames a second over all queues; max: one is always ready (default max)"},
      {"count", "N", "frames in all (default: no end)"},
      {"time", "DURATION", "how long it sends, such as 10s (default: no end)"},
      {"seed", "N", "decides addresses, ports, sizes and the order of flows (default 1)"},
  };
  std::ranges::move(queue_keys(), std::back_inserter(kind.keys));
  return kind;
}

}  // namespace netrx
