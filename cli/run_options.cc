// SPDX-License-Identifier: Apache-2.0
#include "run_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "netrx/cpu_mask.h"
#include "units.h"

namespace netrx::cli {

namespace {

constexpr std::uint32_t kMaxCpus = 4096;

template <class Field>
Result<void> take_count(Field& field, std::string_view text, std::uint64_t low, std::uint64_t high) {
  const Result<std::uint64_t> number = parse_count(text, low, high);
  if (!number) return std::unexpected(number.error());
  field = static_cast<Field>(*number);
  return {};
}

template <class Field>
Result<void> take_duration(Field& field, std::string_view text) {
  const Result<Nanos> duration = parse_duration(text);
  if (!duration) return std::unexpected(duration.error());
  field = *duration;
  return {};
}

Result<void> take_switch(bool& field, std::string_view text) {
  if (text != "on" && text != "off") return fail(EINVAL, "on or off");
  field = text == "on";
  return {};
}

Result<void> take_cpus(std::vector<std::uint16_t>& field, std::string_view text) {
  const Result<CpuMask> mask = CpuMask::parse_list(text, kMaxCpus);
  if (!mask) return std::unexpected(mask.error());
  if (mask->empty()) return fail(EINVAL, "no CPU in it; name at least one, e.g. 0-1");
  field = mask->cpus();
  return {};
}

template <class Value>
struct Choice {
  std::string_view name;
  Value value;
};

template <class Value, std::size_t n>
Result<void> take_choice(Value& field, std::string_view text, const Choice<Value> (&choices)[n]) {
  std::string known;
  for (const Choice<Value>& choice : choices) {
    if (choice.name == text) {
      field = choice.value;
      return {};
    }
    known += (known.empty() ? "" : ", ") + std::string(choice.name);
  }
  return fail(EINVAL, "one of " + known);
}

constexpr Choice<GroEndpoint::Kind> kEndpoints[] = {{"vxlan", GroEndpoint::Kind::vxlan},
                                                    {"geneve", GroEndpoint::Kind::geneve},
                                                    {"udp_gro", GroEndpoint::Kind::udp_gro},
                                                    {"udp", GroEndpoint::Kind::udp},
                                                    {"tcp", GroEndpoint::Kind::tcp}};

Result<void> take_gro_endpoint(std::vector<GroEndpoint>& endpoints, std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return fail(EINVAL, "write KIND:PORT, e.g. vxlan:4789");
  GroEndpoint endpoint{};
  if (const auto ok = take_choice(endpoint.kind, text.substr(0, colon), kEndpoints); !ok) return ok;
  if (const auto ok = take_count(endpoint.port, text.substr(colon + 1), 1, 65535); !ok) return ok;
  endpoints.push_back(endpoint);
  return {};
}

constexpr Choice<IdlePolicy> kIdle[] = {
    {"poll", IdlePolicy::poll}, {"interrupt", IdlePolicy::interrupt}, {"adaptive", IdlePolicy::adaptive}};
constexpr Choice<ProgressMode> kProgress[] = {
    {"auto", ProgressMode::automatic}, {"on", ProgressMode::on}, {"off", ProgressMode::off}};

constexpr OptionSpec kTraffic[] = {
    {"dev", "SPEC", "a device to receive from, e.g. pcap:FILE,loop=10; `netrx devices` lists them",
     [](RunOptions& o, std::string_view text) -> Result<void> {
       if (text.empty()) return fail(EINVAL, "name a device, e.g. pcap:FILE; `netrx devices` lists them");
       o.devices.emplace_back(text);
       return {};
     },
     true},
    {"sink", "SPEC", "send what is delivered by tap:NAME, pcap:FILE, ... or a device of --dev (FROM=SPEC: only FROM's)",
     [](RunOptions& o, std::string_view text) -> Result<void> {
       if (text.empty()) return fail(EINVAL, "name a device to send by, e.g. tap:vm1 or pcap:FILE");
       o.sinks.emplace_back(text);
       return {};
     },
     true},
    {"duration", "TIME", "end after this time (default: when every device is exhausted)",
     [](RunOptions& o, std::string_view text) { return take_duration(o.duration, text); }},
};

constexpr OptionSpec kEngine[] = {
    {"cpus", "LIST", "CPUs to receive on, one thread each, e.g. 0-3,8 (default: all this process may use)",
     [](RunOptions& o, std::string_view text) { return take_cpus(o.cpus, text); }},
    {"irq-cpus", "LIST", "CPUs that poll the devices' queues, round robin (default: all)",
     [](RunOptions& o, std::string_view text) { return take_cpus(o.irq_cpus, text); }},
    {"idle", "POLICY", "what an idle CPU does: poll, interrupt (sleep) or adaptive (poll a while, then sleep; default)",
     [](RunOptions& o, std::string_view text) { return take_choice(o.idle, text, kIdle); }},
    {"spin", "TIME", "how long adaptive polls (default 50us)",
     [](RunOptions& o, std::string_view text) { return take_duration(o.spin, text); }},
    {"pool-packets", "N", "packets each CPU has to receive into (default 8192)",
     [](RunOptions& o, std::string_view text) { return take_count(o.pool_packets, text, 64, 1u << 24); }},
    {"frame-size", "BYTES", "room a packet has for its frame (default 2048)",
     [](RunOptions& o, std::string_view text) { return take_count(o.frame_size, text, 1, 1u << 20); }},
};

constexpr OptionSpec kSteering[] = {
    {"rps-cpus", "MASK", "RPS: CPUs that packets are spread over, hexadecimal, e.g. 3 for CPUs 0 and 1; every queue"},
    {"rps-flow-cnt", "N", "RFS: flows a queue follows; every queue"},
    {"rps-sock-flow-entries", "N", "RFS: flows whose application is remembered"},
    {"rps-map-in-order", "0|1",
     "netrx's own: a flow keeps its order also when it changes from RPS to RFS (default 0, the kernel's)"},
    {"rps-default-mask", "MASK", "RPS for the queues that --rps-cpus leaves alone"},
    {"flow-limit-cpu-bitmap", "MASK", "CPUs that limit a flow's share of a full backlog"},
    {"flow-limit-table-len", "N", "its hash table; a power of two"},
};

constexpr OptionSpec kKernel[] = {
    {"netdev-max-backlog", "N", "packets a CPU's backlog holds before it drops"},
    {"netdev-budget", "N", "packets a net_rx_action run may take"},
    {"netdev-budget-usecs", "N", "microseconds it may take"},
    {"dev-weight", "N", "packets a poll of a backlog may take"},
    {"dev-weight-rx-bias", "N", "times this"},
    {"dev-weight-tx-bias", "N", "the same for transmission: no effect here"},
    {"gro-normal-batch", "N", "segments that make the GRO stage hand its list up"},
    {"skb-defer-max", "N", "packets freed elsewhere that wait for their CPU"},
    {"netdev-tstamp-prequeue", "0|1", "stamp packets before RPS (1) or after (0)"},
    {"max-skb-frags", "N", "fragments a packet may have"},
    {"busy-poll", "USECS", "busy polling by poll and select"},
    {"busy-read", "USECS", "busy polling by reads"},
    {"napi-defer-hard-irqs", "N", "empty polls before a queue's interrupt comes back; every device"},
    {"gro-flush-timeout", "NS", "timer that polls meanwhile; every device"},
    {"threaded", "0|1", "poll in threads of their own; every device"},
};

constexpr OptionSpec kGro[] = {
    {"rx-gro", "0|1", "merge segments of a flow into one packet (ethtool -K rx-gro; default 1); every device"},
    {"rx-gro-list", "0|1", "chain packets whole instead (default 0)"},
    {"rx-udp-gro-forwarding", "0|1", "merge UDP that no socket asked for (default 0)"},
    {"gro-max-size", "BYTES", "the largest packet, IPv6 (default 65536)"},
    {"gro-ipv4-max-size", "BYTES", "the same for IPv4"},
    {"gro-endpoint", "KIND:PORT",
     "a local port that merging depends on: vxlan, geneve, udp_gro, udp or tcp, e.g. vxlan:4789",
     [](RunOptions& o, std::string_view text) { return take_gro_endpoint(o.gro_endpoints, text); }, true},
    {"gro-in-order", "0|1", "netrx's own: nothing overtakes the held packets of its flow (default 0, the kernel's)"},
    {"gro-flow-buckets", "0|8..64", "netrx's own: buckets chosen by flow (default 0: the kernel's 8, by device hash)"},
    {"gro-reasons", "", "a table of why packets did not merge, in words",
     [](RunOptions& o, std::string_view text) { return take_switch(o.gro_reasons, text); }},
};

constexpr OptionSpec kSet[] = {
    {"set", "PATH=VALUE", "any setting by its kernel path, e.g. /sys/class/net/mixed/queues/rx-0/rps_cpus=2",
     [](RunOptions& o, std::string_view text) -> Result<void> {
       const std::size_t equals = text.find('=');
       if (equals == 0 || equals == std::string_view::npos)
         return fail(EINVAL, "write PATH=VALUE; --list-settings lists them");
       o.set.push_back({std::string(text.substr(0, equals)), std::string(text.substr(equals + 1)), {}});
       return {};
     },
     true},
    {"list-settings", "", "print every setting of this configuration with its value, and run nothing",
     [](RunOptions& o, std::string_view text) { return take_switch(o.list_settings, text); }},
};

constexpr OptionSpec kApps[] = {
    {"app-threads", "N",
     "threads that consume packets, each pinned to a CPU, and record their flows for RFS (default 0)",
     [](RunOptions& o, std::string_view text) { return take_count(o.app.threads, text, 0, 256); }},
    {"app-migrate", "TIME", "each moves to the next CPU this often, e.g. 50ms (default: never)",
     [](RunOptions& o, std::string_view text) { return take_duration(o.app.migrate, text); }},
    {"app-capacity", "N", "packets that may wait for one of them; more are dropped (default 4096)",
     [](RunOptions& o, std::string_view text) { return take_count(o.app.capacity, text, 1, 1u << 24); }},
    {"app-rate", "N", "packets a second each takes, e.g. 10k (default: all it can)",
     [](RunOptions& o, std::string_view text) { return take_count(o.app.rate, text, 1, 1'000'000'000); }},
    {"app-stall", "", "they take none: what a hanging application does to the path",
     [](RunOptions& o, std::string_view text) { return take_switch(o.app.stall, text); }},
};

constexpr OptionSpec kOutput[] = {
    {"json", "[FILE|-]", "the result as JSON to a file, or in place of the table to stdout (-, the default)",
     [](RunOptions& o, std::string_view text) -> Result<void> {
       o.json = text.empty() ? "-" : std::string(text);
       return {};
     }},
    {"softnet-stat", "", "print /proc/net/softnet_stat's text in place of the table",
     [](RunOptions& o, std::string_view text) { return take_switch(o.softnet_stat, text); }},
    {"order-flows", "N", "flows whose order is checked (default 128k; 0: none)",
     [](RunOptions& o, std::string_view text) { return take_count(o.order_flows, text, 0, 1'000'000); }},
    {"progress", "auto|on|off", "what happens meanwhile, on stderr (auto: only to a terminal)",
     [](RunOptions& o, std::string_view text) { return take_choice(o.progress, text, kProgress); }},
    {"quiet", "", "no table and no progress: only errors and the exit code",
     [](RunOptions& o, std::string_view text) { return take_switch(o.quiet, text); }},
};

constexpr OptionGroup kGroups[] = {
    {"Traffic", kTraffic},
    {"Engine", kEngine},
    {"Steering (the kernel's settings, names and syntax)", kSteering},
    {"GRO", kGro},
    {"Other kernel settings", kKernel},
    {"Settings by path", kSet},
    {"Applications", kApps},
    {"Output", kOutput},
};

// rps_default_mask before the queues, the flow limit's table length before the bitmap that allocates tables.
constexpr KernelSetting kSettings[] = {
    {"netdev_max_backlog", Scope::core},
    {"netdev_budget", Scope::core},
    {"netdev_budget_usecs", Scope::core},
    {"dev_weight", Scope::core},
    {"dev_weight_rx_bias", Scope::core},
    {"dev_weight_tx_bias", Scope::core},
    {"gro_normal_batch", Scope::core},
    {"skb_defer_max", Scope::core},
    {"netdev_tstamp_prequeue", Scope::core},
    {"max_skb_frags", Scope::core},
    {"busy_poll", Scope::core},
    {"busy_read", Scope::core},
    {"flow_limit_table_len", Scope::core},
    {"flow_limit_cpu_bitmap", Scope::core},
    {"rps_sock_flow_entries", Scope::core},
    {"rps_default_mask", Scope::core},
    {"napi_defer_hard_irqs", Scope::device},
    {"gro_flush_timeout", Scope::device},
    {"threaded", Scope::device},
    {"rps_cpus", Scope::queue},
    {"rps_flow_cnt", Scope::queue},
    {"rps_map_in_order", Scope::own},
    {"rx_gro", Scope::device},
    {"rx_gro_list", Scope::device},
    {"rx_udp_gro_forwarding", Scope::device},
    {"gro_max_size", Scope::device},
    {"gro_ipv4_max_size", Scope::device},
    {"gro_in_order", Scope::own},
    {"gro_flow_buckets", Scope::own},
};

std::string kernel_name(std::string_view option) {
  std::string name(option);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

Result<void> check_together(const RunOptions& options) {
  if (options.devices.empty()) return fail(EINVAL, "no device; name one, e.g. --dev pcap:samples/mixed.pcap");
  if (options.json == "-" && options.softnet_stat)
    return fail(EINVAL, "--json and --softnet-stat both want stdout; write the JSON to a file: --json FILE");
  if (options.app.threads != 0 && !options.sinks.empty())
    return fail(EINVAL, "--sink and --app-threads both want the packets; give one of them");
  if (options.app.threads == 0 && (options.app.stall || options.app.rate != 0 || options.app.migrate != Nanos{0}))
    return fail(EINVAL, "--app-migrate, --app-rate and --app-stall need applications: --app-threads N");
  if (options.duration && *options.duration == Nanos{0})
    return fail(EINVAL, "--duration 0: it must be longer, e.g. 10s");
  return {};
}

}  // namespace

std::span<const KernelSetting> kernel_settings() { return kSettings; }
std::span<const OptionGroup> run_option_groups() { return kGroups; }

const OptionSpec* find_option(std::string_view name) {
  for (const OptionGroup& group : kGroups)
    for (const OptionSpec& spec : group.options)
      if (spec.name == name) return &spec;
  return nullptr;
}

std::vector<std::string> option_names() {
  std::vector<std::string> names;
  for (const OptionGroup& group : kGroups)
    for (const OptionSpec& spec : group.options) names.emplace_back(spec.name);
  return names;
}

Result<RunOptions> make_run_options(const std::vector<GivenOption>& given) {
  RunOptions options;
  for (const GivenOption& one : given) {
    if (one.spec->apply == nullptr) {
      options.kernel.push_back({kernel_name(one.spec->name), one.text, one.origin});
      continue;
    }
    const std::size_t sets = options.set.size();
    if (const auto ok = one.spec->apply(options, one.text); !ok)
      return fail(ok.error().code, fmt::format("{}: {}", one.origin, full_text(ok.error())));
    if (options.set.size() != sets) options.set.back().origin = one.origin;
  }
  if (const auto ok = check_together(options); !ok) return std::unexpected(ok.error());
  return options;
}

}  // namespace netrx::cli
