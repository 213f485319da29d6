// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "gro/gro.h"
#include "netrx/gro.h"

namespace netrx {

namespace {

Result<void> check(const GroOptions& options) {
  for (const std::uint32_t size : {options.gro_max_size, options.gro_ipv4_max_size})
    if (size > kGroMaxSize)
      return fail(EINVAL, "gro_max_size " + std::to_string(size) + ": at most " + std::to_string(kGroMaxSize));
  if (options.max_skb_frags < 1 || options.max_skb_frags > 17)
    return fail(EINVAL, "max_skb_frags " + std::to_string(options.max_skb_frags) + ": 1 to 17");
  if (!valid_flow_buckets(options.flow_buckets))
    return fail(EINVAL, "flow_buckets " + std::to_string(options.flow_buckets) + ": 0, 8, 16, 32 or 64");
  return {};
}

}  // namespace

struct Gro::State {
  explicit State(const GroOptions& options)
      : endpoints(options.endpoints),
        rules{.fraglist = options.fraglist,
              .udp_forwarding = options.udp_forwarding,
              .in_order = options.in_order,
              .max_skb_frags = options.max_skb_frags,
              .flow_buckets = options.flow_buckets,
              .gro_max_size = options.gro_max_size,
              .gro_ipv4_max_size = options.gro_ipv4_max_size,
              .endpoints = options.endpoints.empty() ? nullptr : &endpoints} {
    node.make_room();
  }
  ~State() {
    node.rx_list.released();
    PacketBatch held;
    while (gro_holds_packets(node)) {
      gro_give_up(node, held);
      held.released();
    }
  }

  void collect() {
    finished.insert(finished.end(), node.rx_list.begin(), node.rx_list.end());
    node.rx_list.released();
    node.rx_count = 0;
  }
  void flush(bool only_old) {
    while (!gro_flush(node, rules, only_old)) collect();
    collect();
  }

  GroEndpoints endpoints;
  GroRules rules;
  GroNode node;
  std::vector<Packet*> finished;
  std::vector<Packet*> taken;
  std::array<std::uint64_t, kGroRefusals> refusals{};
};

Result<std::unique_ptr<Gro>> Gro::create(const GroOptions& options) {
  if (const auto ok = check(options); !ok) return std::unexpected(ok.error());
  return std::unique_ptr<Gro>(new Gro(std::make_unique<State>(options)));
}

Gro::Gro(std::unique_ptr<State> state) : state_(std::move(state)) {}
Gro::~Gro() = default;

GroResult Gro::receive(Packet& packet) {
  GroStep step = gro_receive(state_->node, state_->rules, packet);
  while (!step) {
    state_->collect();
    step = gro_receive(state_->node, state_->rules, packet);
  }
  if (step.why_not() != GroRefusal::kNone) ++state_->refusals[static_cast<std::size_t>(step.why_not())];
  return step.result();
}

void Gro::flush() { state_->flush(false); }
void Gro::flush_older() { state_->flush(true); }
void Gro::set_tick(std::uint32_t tick) { state_->rules.jiffies = tick; }

std::span<Packet* const> Gro::take() {
  state_->collect();
  state_->taken.clear();
  state_->taken.swap(state_->finished);
  return state_->taken;
}

std::size_t Gro::held() const { return state_->node.held_in.read() - state_->node.held_out.read(); }

const std::array<std::uint64_t, kGroRefusals>& Gro::refusals() const { return state_->refusals; }

}  // namespace netrx
