// SPDX-License-Identifier: Apache-2.0
#include "engine/settings.h"

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <numeric>
#include <optional>

#include "base/error_text.h"
#include "base/kernel_number.h"
#include "base/ring_index.h"
#include "gro/gro_rules.h"

namespace netrx {

namespace {

constexpr std::uint64_t kMaxRpsFlows = std::uint64_t{1} << 27;      // 1 GiB a queue
constexpr std::uint32_t kMaxSockFlows = 1u << 29;                   // 2 GiB; the kernel's limit
constexpr std::uint32_t kMaxFlowLimitTable = 1u << 21;              // what one kmalloc gives in the kernel: below 4 MiB
constexpr std::uint64_t kMaxFlushTimeout = std::uint64_t{1} << 62;  // 146 years; added to a time, it still is one

enum class Scope { sysctl, own, device, queue, cpu, cpus, count };

/// Where the settings of a scope are; each * stands for one name, which resolve() looks up.
constexpr std::array<std::string_view, static_cast<std::size_t>(Scope::count)> kPrefixes = {
    "/proc/sys/net/core/",           "/proc/sys/net/netrx/",          "/sys/class/net/*/",
    "/sys/class/net/*/queues/rx-*/", "/sys/devices/system/cpu/cpu*/", "/sys/devices/system/cpu/"};

struct Setting;

/// One setting of one object.
struct Place {
  const Setting* setting = nullptr;
  Netif* netif = nullptr;         ///< scopes device and queue
  NetifRxQueue* queue = nullptr;  ///< scope queue
  std::uint16_t cpu = 0;          ///< scope cpu
  std::string path;
};

using Read = std::string (*)(const EngineCore&, const Place&);
using Write = Result<void> (*)(EngineCore&, const Place&, std::string_view);

/// A row of the manual. `write` gives errors in the form of refuse(); write_setting() puts the path in front.
struct Setting {
  Scope scope;
  std::string_view name;
  Read read;
  Write write;  ///< null: only read
  // Of plain integers:
  Tunable Tunables::* value = nullptr;
  int min = std::numeric_limits<int>::min();
  int max = std::numeric_limits<int>::max();
};

std::string line(std::string text) { return std::move(text) + '\n'; }

template <class Int>
std::string number_line(Int value) {
  return line(std::to_string(value));
}

template <class T, class... Args>
std::unique_ptr<T> make_if_memory(Args... args) {
  try {
    return std::make_unique<T>(args...);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

CpuMask mask_of(const EngineCore& core, std::span<const std::uint16_t> cpus) {
  CpuMask mask(core.net.nr_cpu_ids);
  for (const std::uint16_t cpu : cpus) mask.set(cpu);
  return mask;
}

// ---- integers of /proc/sys/net/core ------------------------------------------------------------------------------

std::string read_int(const EngineCore& core, const Place& place) {
  return number_line((core.net.tunables.*place.setting->value).read());
}

Result<void> store_int(Tunable& tunable, std::string_view text, int min, int max) {
  if (text.empty()) return {};
  const Result<int> value = parse_sysctl_int(text);
  if (!value) return std::unexpected(value.error());
  if (*value < min) return refuse(text, EINVAL, "too small; the least is " + std::to_string(min));
  if (*value > max) return refuse(text, EINVAL, "too large; the most is " + std::to_string(max));
  tunable.write(*value);
  return {};
}

Result<void> write_int(EngineCore& core, const Place& place, std::string_view text) {
  const Setting& setting = *place.setting;
  return store_int(core.net.tunables.*setting.value, text, setting.min, setting.max);
}

/// At least two ticks, in which the time is counted.
Result<void> write_budget_usecs(EngineCore& core, const Place& place, std::string_view text) {
  const auto two_ticks = static_cast<int>(2'000'000 / std::max(core.net.tick.hz, 1u));
  return store_int(core.net.tunables.*place.setting->value, text, two_ticks, place.setting->max);
}

/// Kernel: proc_do_dev_weight. The product wraps as the kernel's does; where that leaves less than 1, a backlog could
/// never be emptied, and it is 1.
Result<void> write_dev_weight(EngineCore& core, const Place& place, std::string_view text) {
  if (const Result<void> written = write_int(core, place, text); !written) return written;
  Tunables& tunables = core.net.tunables;
  const auto weight = static_cast<std::uint32_t>(tunables.dev_weight.read());
  const auto bias = static_cast<std::uint32_t>(tunables.dev_weight_rx_bias.read());
  tunables.dev_rx_weight.write(std::max(static_cast<int>(weight * bias), 1));
  return {};
}

// ---- tables of /proc/sys/net/core --------------------------------------------------------------------------------

std::string read_rps_sock_flow_entries(const EngineCore& core, const Place&) {
  const RpsSockFlowTable* table = core.net.rps_sock_flow_table.read();
  return number_line(table == nullptr ? 0 : table->size());
}

/// Kernel: rps_sock_flow_sysctl, with its quirk: a text that is no number is refused, and clears the table all the
/// same.
Result<void> write_rps_sock_flow_entries(EngineCore& core, const Place&, std::string_view text) {
  RpsSockFlowTable* const old = core.net.rps_sock_flow_table.read();
  const auto clear_old = [&] {
    if (old != nullptr) old->clear();
  };
  if (text.empty()) {
    clear_old();
    return {};
  }
  const Result<std::uint32_t> size = rps_sock_flow_table_size(text);
  if (!size) {
    if (!parse_sysctl_int(text)) clear_old();
    return std::unexpected(size.error());
  }
  if (*size == (old == nullptr ? 0 : old->size())) {
    clear_old();
    return {};
  }
  std::unique_ptr<RpsSockFlowTable> next;
  if (*size != 0) {
    next = make_if_memory<RpsSockFlowTable>(*size, core.net.nr_cpu_ids);
    if (next == nullptr) return refuse(text, ENOMEM, "no memory for that many entries; ask for fewer");
  }
  core.net.rps_needed.fetch_add((next != nullptr) - (old != nullptr), std::memory_order_relaxed);
  core.replace(core.net.rps_sock_flow_table, std::move(next));
  return {};
}

std::string read_rps_default_mask(const EngineCore& core, const Place&) {
  return line(mask_of(core, core.rps_default_mask.cpus()).to_string());
}

Result<void> write_rps_default_mask(EngineCore& core, const Place&, std::string_view text) {
  const Result<CpuMask> mask = CpuMask::parse(text, core.net.nr_cpu_ids);
  if (!mask) return std::unexpected(mask.error());
  core.rps_default_mask = *mask;
  return {};
}

std::string read_flow_limit_cpu_bitmap(const EngineCore& core, const Place&) {
  CpuMask mask(core.net.nr_cpu_ids);
  for (std::uint32_t cpu = 0; cpu < core.net.nr_cpu_ids; ++cpu)
    mask.set(cpu, core.net.possible(cpu) && core.net.cpus[cpu]->flow_limit.read() != nullptr);
  return line(mask.to_string());
}

/// Kernel: flow_limit_cpu_sysctl. A CPU that keeps its bit keeps its history, and its table length.
Result<void> write_flow_limit_cpu_bitmap(EngineCore& core, const Place&, std::string_view text) {
  const Result<CpuMask> mask = CpuMask::parse(text, core.net.nr_cpu_ids);
  if (!mask) return std::unexpected(mask.error());
  const auto length = static_cast<std::uint32_t>(core.net.tunables.flow_limit_table_len.read());
  for (std::uint32_t cpu = 0; cpu < core.net.nr_cpu_ids; ++cpu) {
    if (!core.net.possible(cpu)) continue;
    Published<FlowLimit>& flow_limit = core.net.of(cpu).flow_limit;
    if (mask->test(cpu) == (flow_limit.read() != nullptr)) continue;
    std::unique_ptr<FlowLimit> next;
    if (mask->test(cpu)) {
      if (length <= kMaxFlowLimitTable) next = make_if_memory<FlowLimit>(length);
      if (next == nullptr)
        return refuse(text, ENOMEM,
                      "no memory for the table of CPU " + std::to_string(cpu) + " with " + std::to_string(length) +
                          " buckets; lower flow_limit_table_len");
    }
    core.replace(flow_limit, std::move(next));
  }
  return {};
}

/// Kernel: flow_limit_table_len_sysctl, which looks at the bits of an unsigned number: -2147483648 is a power of two.
Result<void> write_flow_limit_table_len(EngineCore& core, const Place&, std::string_view text) {
  Tunable& length = core.net.tunables.flow_limit_table_len;
  Tunable asked(length.read());
  if (const Result<void> parsed =
          store_int(asked, text, std::numeric_limits<int>::min(), std::numeric_limits<int>::max());
      !parsed)
    return parsed;
  if (!std::has_single_bit(static_cast<std::uint32_t>(asked.read())))
    return refuse(text, EINVAL, "not a power of two; write 1024, 2048, 4096 ...");
  length.write(asked.read());
  return {};
}

std::string read_netdev_rss_key(const EngineCore& core, const Place&) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : core.options.rss_key) {
    if (!text.empty()) text += ':';
    text += {kHex[byte >> 4], kHex[byte & 15]};
  }
  return line(std::move(text));
}

// ---- /sys/class/net ----------------------------------------------------------------------------------------------

std::unique_ptr<RpsMap> online_map(const EngineCore& core, const CpuMask& mask) {
  auto map = std::make_unique<RpsMap>();
  std::ranges::copy_if(mask.cpus(), std::back_inserter(map->cpus),
                       [&](std::uint16_t cpu) { return core.net.cpu_online(cpu); });
  return map->cpus.empty() ? nullptr : std::move(map);
}

std::string read_rps_cpus(const EngineCore& core, const Place& place) {
  const RpsMap* map = place.queue->rps_map.read();
  return line((map == nullptr ? CpuMask(core.net.nr_cpu_ids) : mask_of(core, map->cpus)).to_string());
}

/// Kernel: store_rps_map.
Result<void> write_rps_cpus(EngineCore& core, const Place& place, std::string_view text) {
  if (text.empty()) return {};
  const Result<CpuMask> mask = CpuMask::parse(text, core.net.nr_cpu_ids);
  if (!mask) return std::unexpected(mask.error());
  std::unique_ptr<RpsMap> map = online_map(core, *mask);
  const bool had = place.queue->rps_map.read() != nullptr;
  core.net.rps_needed.fetch_add((map != nullptr) - had, std::memory_order_relaxed);
  core.replace(place.queue->rps_map, std::move(map));
  return {};
}

std::string read_rps_flow_cnt(const EngineCore&, const Place& place) {
  const RpsDevFlowTable* table = place.queue->rps_flow_table.read();
  return number_line(table == nullptr ? 0 : table->size());
}

/// Kernel: store_rps_dev_flow_table_cnt. A new table even for the same size: what was outstanding is forgotten.
Result<void> write_rps_flow_cnt(EngineCore& core, const Place& place, std::string_view text) {
  if (text.empty()) return {};
  const Result<std::uint32_t> size = rps_flow_table_size(text);
  if (!size) return std::unexpected(size.error());
  std::unique_ptr<RpsDevFlowTable> table;
  if (*size != 0) {
    table = make_if_memory<RpsDevFlowTable>(*size);
    if (table == nullptr) return refuse(text, ENOMEM, "no memory for that many flows; ask for fewer");
  }
  core.replace(place.queue->rps_flow_table, std::move(table));
  return {};
}

std::string read_gro_flush_timeout(const EngineCore&, const Place& place) {
  return number_line(place.netif->gro_flush_timeout.load(std::memory_order_relaxed));
}

Result<void> write_gro_flush_timeout(EngineCore&, const Place& place, std::string_view text) {
  if (text.empty()) return {};
  const Result<std::uint64_t> value = parse_sysfs_ulong(text);
  if (!value) return std::unexpected(value.error());
  place.netif->gro_flush_timeout.store(static_cast<std::int64_t>(std::min(*value, kMaxFlushTimeout)),
                                       std::memory_order_relaxed);
  return {};
}

std::string read_napi_defer_hard_irqs(const EngineCore&, const Place& place) {
  return number_line(place.netif->napi_defer_hard_irqs.load(std::memory_order_relaxed));
}

Result<void> write_napi_defer_hard_irqs(EngineCore&, const Place& place, std::string_view text) {
  if (text.empty()) return {};
  const Result<std::uint64_t> value = parse_sysfs_ulong(text);
  if (!value) return std::unexpected(value.error());
  if (*value > std::numeric_limits<std::int32_t>::max())
    return refuse(text, ERANGE, "too large; the most is 2147483647");
  place.netif->napi_defer_hard_irqs.store(static_cast<std::uint32_t>(*value), std::memory_order_relaxed);
  return {};
}

std::string read_threaded(const EngineCore&, const Place& place) {
  return number_line(place.netif->threaded.load(std::memory_order_relaxed) ? 1 : 0);
}

Result<void> write_threaded(EngineCore& core, const Place& place, std::string_view text) {
  if (text.empty()) return {};
  const Result<std::uint64_t> value = parse_sysfs_ulong(text);
  if (!value) return std::unexpected(value.error());
  if (std::ranges::none_of(place.netif->rx_queues, [](const auto& queue) { return queue->napi != nullptr; }))
    return refuse(text, EOPNOTSUPP, place.netif->name + " has no NAPI to run in a thread");
  if (*value > 1) return refuse(text, EOPNOTSUPP, "neither 0 nor 1");
  const Result<void> set = core.set_threaded(*place.netif, *value == 1);
  if (!set) return refuse(text, set.error().code, set.error().text);
  return {};
}

/// A switch that Linux has in ethtool -K, not in sysfs.
template <std::atomic<bool> Netif::* Feature>
std::string read_feature(const EngineCore&, const Place& place) {
  return number_line((place.netif->*Feature).load(std::memory_order_relaxed) ? 1 : 0);
}

template <std::atomic<bool> Netif::* Feature>
Result<void> write_feature(EngineCore&, const Place& place, std::string_view text) {
  if (text.empty()) return {};
  const Result<bool> value = parse_sysfs_bool(text);
  if (!value) return std::unexpected(value.error());
  (place.netif->*Feature).store(*value, std::memory_order_relaxed);
  return {};
}

template <std::atomic<std::uint32_t> Netif::* Size>
std::string read_gro_size(const EngineCore&, const Place& place) {
  return number_line((place.netif->*Size).load(std::memory_order_relaxed));
}

/// Kernel: netif_set_gro_max_size, which rtnetlink calls; what IPv4 could not have is set for it too.
template <std::atomic<std::uint32_t> Netif::* Size>
Result<void> write_gro_size(EngineCore&, const Place& place, std::string_view text) {
  if (text.empty()) return {};
  const Result<std::uint64_t> value = parse_sysfs_ulong(text);
  if (!value) return std::unexpected(value.error());
  if (*value > kGroMaxSize) return refuse(text, EINVAL, "too large; the most is " + std::to_string(kGroMaxSize));
  const auto size = static_cast<std::uint32_t>(*value);
  (place.netif->*Size).store(size, std::memory_order_relaxed);
  if (Size == &Netif::gro_max_size && size <= kGroLegacyMaxSize)
    place.netif->gro_ipv4_max_size.store(size, std::memory_order_relaxed);
  return {};
}

Result<void> write_gro_flow_buckets(EngineCore& core, const Place& place, std::string_view text) {
  Tunable asked(core.net.tunables.gro_flow_buckets.read());
  if (const auto parsed = store_int(asked, text, 0, GroNode::kMaxBuckets); !parsed) return parsed;
  if (!valid_flow_buckets(static_cast<std::uint32_t>(asked.read())))
    return refuse(text, EINVAL, "0 for the kernel's way, or 8, 16, 32 or 64 buckets");
  (core.net.tunables.*place.setting->value).write(asked.read());
  return {};
}

// ---- /sys/devices/system/cpu -------------------------------------------------------------------------------------

std::string read_cpu_online(const EngineCore& core, const Place& place) {
  return number_line(core.net.cpu_online(place.cpu) ? 1 : 0);
}

Result<void> write_cpu_online(EngineCore& core, const Place& place, std::string_view text) {
  if (text.empty()) return {};
  const Result<bool> value = parse_sysfs_bool(text);
  if (!value) return std::unexpected(value.error());
  const Result<void> set = core.set_online(place.cpu, *value);
  if (!set) return refuse(text, set.error().code, set.error().text);
  return {};
}

CpuMask possible_cpus(const EngineCore& core) {
  CpuMask mask(core.net.nr_cpu_ids);
  for (std::uint32_t cpu = 0; cpu < core.net.nr_cpu_ids; ++cpu) mask.set(cpu, core.net.possible(cpu));
  return mask;
}

std::string read_possible(const EngineCore& core, const Place&) { return line(possible_cpus(core).to_list()); }

std::string read_online(const EngineCore& core, const Place&) {
  return line(mask_of(core, core.online_cpus()).to_list());
}

// ---- the table ---------------------------------------------------------------------------------------------------

constexpr int kNoMin = std::numeric_limits<int>::min();
constexpr int kNoMax = std::numeric_limits<int>::max();

constexpr Setting integer(std::string_view name, Tunable Tunables::* value, int min = kNoMin, int max = kNoMax) {
  return {Scope::sysctl, name, read_int, write_int, value, min, max};
}

constexpr Setting weight(std::string_view name, Tunable Tunables::* value) {
  return {Scope::sysctl, name, read_int, write_dev_weight, value, 1, kNoMax};
}

constexpr std::array kSettings = {
    integer("netdev_max_backlog", &Tunables::netdev_max_backlog),
    integer("netdev_budget", &Tunables::netdev_budget),
    Setting{Scope::sysctl, "netdev_budget_usecs", read_int, write_budget_usecs, &Tunables::netdev_budget_usecs},
    weight("dev_weight", &Tunables::dev_weight),
    weight("dev_weight_rx_bias", &Tunables::dev_weight_rx_bias),
    weight("dev_weight_tx_bias", &Tunables::dev_weight_tx_bias),
    integer("gro_normal_batch", &Tunables::gro_normal_batch, 1),
    integer("skb_defer_max", &Tunables::skb_defer_max, 0),
    integer("netdev_tstamp_prequeue", &Tunables::netdev_tstamp_prequeue),
    integer("busy_poll", &Tunables::busy_poll, 0),
    integer("busy_read", &Tunables::busy_read, 0),
    integer("max_skb_frags", &Tunables::max_skb_frags, 1, 17),
    Setting{Scope::sysctl, "rps_sock_flow_entries", read_rps_sock_flow_entries, write_rps_sock_flow_entries},
    Setting{Scope::sysctl, "rps_default_mask", read_rps_default_mask, write_rps_default_mask},
    Setting{Scope::sysctl, "flow_limit_cpu_bitmap", read_flow_limit_cpu_bitmap, write_flow_limit_cpu_bitmap},
    Setting{Scope::sysctl, "flow_limit_table_len", read_int, write_flow_limit_table_len,
            &Tunables::flow_limit_table_len},
    Setting{Scope::sysctl, "netdev_rss_key", read_netdev_rss_key, nullptr},
    Setting{Scope::own, "rps_map_in_order", read_int, write_int, &Tunables::rps_map_in_order, 0, 1},
    Setting{Scope::own, "gro_in_order", read_int, write_int, &Tunables::gro_in_order, 0, 1},
    Setting{Scope::own, "gro_flow_buckets", read_int, write_gro_flow_buckets, &Tunables::gro_flow_buckets},
    Setting{Scope::queue, "rps_cpus", read_rps_cpus, write_rps_cpus},
    Setting{Scope::queue, "rps_flow_cnt", read_rps_flow_cnt, write_rps_flow_cnt},
    Setting{Scope::device, "gro_flush_timeout", read_gro_flush_timeout, write_gro_flush_timeout},
    Setting{Scope::device, "napi_defer_hard_irqs", read_napi_defer_hard_irqs, write_napi_defer_hard_irqs},
    Setting{Scope::device, "threaded", read_threaded, write_threaded},
    Setting{Scope::device, "rx_gro", read_feature<&Netif::rx_gro>, write_feature<&Netif::rx_gro>},
    Setting{Scope::device, "rx_gro_list", read_feature<&Netif::rx_gro_list>, write_feature<&Netif::rx_gro_list>},
    Setting{Scope::device, "rx_udp_gro_forwarding", read_feature<&Netif::rx_udp_gro_forwarding>,
            write_feature<&Netif::rx_udp_gro_forwarding>},
    Setting{Scope::device, "gro_max_size", read_gro_size<&Netif::gro_max_size>, write_gro_size<&Netif::gro_max_size>},
    Setting{Scope::device, "gro_ipv4_max_size", read_gro_size<&Netif::gro_ipv4_max_size>,
            write_gro_size<&Netif::gro_ipv4_max_size>},
    Setting{Scope::cpu, "online", read_cpu_online, write_cpu_online},
    Setting{Scope::cpus, "online", read_online, nullptr},
    Setting{Scope::cpus, "possible", read_possible, nullptr},
};

// ---- paths -------------------------------------------------------------------------------------------------------

/// The full path of "net.core.x", "net/core/x", the same for "netrx", and of what is one already.
std::string full_path(std::string_view path) {
  for (const std::string_view prefix : {"net.core.", "net/core/", "net.netrx.", "net/netrx/"}) {
    if (!path.starts_with(prefix)) continue;
    const Scope scope = prefix.find("netrx") == prefix.npos ? Scope::sysctl : Scope::own;
    return std::string(kPrefixes[static_cast<std::size_t>(scope)]).append(path.substr(prefix.size()));
  }
  return std::string(path);
}

/// The path without the part that every path of its kind has.
std::string_view key_of(std::string_view path) {
  for (const std::string_view prefix :
       {"/proc/sys/net/core/", "/proc/sys/net/netrx/", "/sys/class/net/", "/sys/devices/system/cpu/"})
    if (path.starts_with(prefix)) return path.substr(prefix.size());
  return path;
}

using Names = std::array<std::string_view, 2>;

/// The names that the stars of the setting's path stand for, if `path` is such a path.
std::optional<Names> match(const Setting& setting, std::string_view path) {
  std::string_view prefix = kPrefixes[static_cast<std::size_t>(setting.scope)];
  Names names;
  for (std::string_view& name : names) {
    const std::size_t star = prefix.find('*');
    if (star == std::string_view::npos) break;
    if (!path.starts_with(prefix.substr(0, star))) return std::nullopt;
    path.remove_prefix(star);
    prefix.remove_prefix(star + 1);
    name = path.substr(0, path.find('/'));
    if (name.empty()) return std::nullopt;
    path.remove_prefix(name.size());
  }
  if (!path.starts_with(prefix) || path.substr(prefix.size()) != setting.name) return std::nullopt;
  return names;
}

/// The number that `digits` spells the way the kernel names files, if it is below `end`.
std::optional<std::uint32_t> index_below(std::string_view digits, std::size_t end) {
  for (std::uint32_t i = 0; i < end; ++i)
    if (std::to_string(i) == digits) return i;
  return std::nullopt;
}

std::string attached_names(const EngineCore& core) {
  std::string names;
  for (const Attached& attached : core.devices) names.append(names.empty() ? "" : ", ").append(attached.netif->name);
  return names.empty() ? "none is attached" : "attached: " + names;
}

/// Looks the names up.
Result<Place> resolve(const EngineCore& core, const Setting& setting, const Names& names, std::string path) {
  Place place{.setting = &setting, .path = std::move(path)};
  const std::string key(key_of(place.path));
  if (setting.scope == Scope::cpu) {
    const std::optional<std::uint32_t> cpu = index_below(names[0], core.net.nr_cpu_ids);
    if (!cpu || !core.net.possible(*cpu))
      return fail(ENOENT, key + ": ENOENT: no such CPU; this engine has " + possible_cpus(core).to_list());
    place.cpu = static_cast<std::uint16_t>(*cpu);
  }
  if (setting.scope == Scope::device || setting.scope == Scope::queue) {
    place.netif = core.find(names[0]);
    if (place.netif == nullptr)
      return fail(ENOENT, key + ": ENOENT: no device " + in_quotes(names[0]) + "; " + attached_names(core));
  }
  if (setting.scope == Scope::queue) {
    const auto& queues = place.netif->rx_queues;
    const std::optional<std::uint32_t> index = index_below(names[1], queues.size());
    if (!index)
      return fail(ENOENT, key + ": ENOENT: no such queue; " + place.netif->name + " has rx-0" +
                              (queues.size() > 1 ? " to rx-" + std::to_string(queues.size() - 1) : ""));
    place.queue = queues[*index].get();
  }
  return place;
}

/// Insertions, deletions and replacements between two texts.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::unexpected<Error> unknown_setting(const EngineCore& core, std::string_view path) {
  const std::string_view key = key_of(path);
  std::string nearest;
  std::size_t best = 6;  // edits from which on two names are strangers
  for (std::string& known : list_settings(core)) {
    const std::size_t length = key_of(known).size();
    if (std::max(key.size(), length) - std::min(key.size(), length) >= best) continue;
    const std::size_t distance = edit_distance(key, key_of(known));
    if (distance >= best || distance * 2 > length) continue;
    best = distance;
    nearest = std::move(known);
  }
  return refuse(path, ENOENT,
                nearest.empty() ? "no such setting; docs/configuration.md lists them"
                                : "no such setting; did you mean " + nearest + "?");
}

Result<Place> locate(const EngineCore& core, std::string_view path) {
  std::string full = full_path(path);
  for (const Setting& setting : kSettings)
    if (const std::optional<Names> names = match(setting, full)) return resolve(core, setting, *names, full);
  return unknown_setting(core, full);
}

/// Appends the paths a setting has now.
void expand(const EngineCore& core, const Setting& setting, std::vector<std::string>& paths) {
  const std::string name(setting.name);
  switch (setting.scope) {
    case Scope::sysctl: paths.push_back("/proc/sys/net/core/" + name); break;
    case Scope::own: paths.push_back("/proc/sys/net/netrx/" + name); break;
    case Scope::cpus: paths.push_back("/sys/devices/system/cpu/" + name); break;
    case Scope::cpu:
      for (const std::uint16_t cpu : possible_cpus(core).cpus())
        paths.push_back("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + '/' + name);
      break;
    case Scope::device:
      for (const Attached& attached : core.devices)
        paths.push_back("/sys/class/net/" + attached.netif->name + '/' + name);
      break;
    case Scope::queue:
      for (const Attached& attached : core.devices)
        for (std::size_t i = 0; i < attached.netif->rx_queues.size(); ++i)
          paths.push_back("/sys/class/net/" + attached.netif->name + "/queues/rx-" + std::to_string(i) + '/' + name);
      break;
    case Scope::count: break;
  }
}

}  // namespace

Result<std::uint32_t> rps_flow_table_size(std::string_view text) {
  const Result<std::uint64_t> count = parse_sysfs_ulong(text);
  if (!count) return std::unexpected(count.error());
  if (*count > std::uint64_t{1} << 32) return refuse(text, EINVAL, "more than 4294967296 flows; 134217728 is the most");
  if (*count > kMaxRpsFlows) return refuse(text, ENOMEM, "more than 1 GiB a queue; 134217728 flows is the most");
  return *count == 0 ? 0 : round_up_pow2(static_cast<std::uint32_t>(*count));
}

Result<std::uint32_t> rps_sock_flow_table_size(std::string_view text) {
  const Result<int> count = parse_sysctl_int(text);
  if (!count) return std::unexpected(count.error());
  const auto entries = static_cast<std::uint32_t>(*count);
  if (entries > kMaxSockFlows) return refuse(text, EINVAL, "out of range; 0 to 536870912 entries can be had");
  return entries == 0 ? 0 : round_up_pow2(entries);
}

std::unique_ptr<RpsMap> default_rps_map(const EngineCore& core) { return online_map(core, core.rps_default_mask); }

Result<void> write_setting(EngineCore& core, std::string_view path, std::string_view text) {
  const Result<Place> place = locate(core, path);
  if (!place) return std::unexpected(place.error());
  const std::string key(key_of(place->path));
  if (place->setting->write == nullptr) return fail(EACCES, key + ": EACCES: this setting is only read");
  const Result<void> written = place->setting->write(core, *place, text);
  if (!written) return fail(written.error().code, key + ": " + written.error().text);
  return {};
}

Result<std::string> read_setting(const EngineCore& core, std::string_view path) {
  const Result<Place> place = locate(core, path);
  if (!place) return std::unexpected(place.error());
  return place->setting->read(core, *place);
}

std::vector<std::string> list_settings(const EngineCore& core) {
  std::vector<std::string> paths;
  for (const Setting& setting : kSettings) expand(core, setting, paths);
  return paths;
}

}  // namespace netrx
