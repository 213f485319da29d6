// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "driver/af_packet/packet_device.h"
#include "driver/fault/fault_device.h"
#include "driver/gen/gen_device.h"
#include "driver/loopback/loopback_device.h"
#include "driver/trace/trace_device.h"
#include "driver/tun/tun_device.h"
#include "driver/vhost_user/vhost_user_device.h"
#include "netrx/devices.h"

namespace netrx {

namespace {

constexpr std::string_view kWraps = "//";

/// Letters inserted, left out, replaced or swapped with their neighbour between two words.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      const std::size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i][j - 1] + 1, cost[i - 1][j] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

/// "known: a, b, c; did you mean b?"
std::string among(std::string_view word, const std::vector<std::string>& known) {
  std::string text = "known: ";
  std::string_view nearest;
  if (word.size() > 64) word = word.substr(0, 64);
  std::size_t best = std::max<std::size_t>(word.size() / 2, 1) + 1;
  for (const std::string& candidate : known) {
    text += (text.size() > 7 ? ", " : "") + candidate;
    const bool begins = word.size() >= 3 && (candidate.starts_with(word) || word.starts_with(candidate));
    const std::size_t distance = begins ? 0 : edit_distance(word, candidate);
    if (distance < best) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest.empty() ? text : text + "; did you mean " + std::string(nearest) + "?";
}

template <class Named>
std::vector<std::string> names_of(const std::vector<Named>& all) {
  std::vector<std::string> names(all.size());
  std::ranges::transform(all, names.begin(), &Named::name);
  return names;
}

bool starts_key(std::string_view text) {
  const std::size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_");
  return end != std::string_view::npos && end != 0 && text[end] == '=';
}

/// Splits at the commas that a `key=` follows.
std::vector<std::string_view> split_keys(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ',' || !starts_key(text.substr(i + 1))) continue;
    parts.push_back(text.substr(begin, i - begin));
    begin = i + 1;
  }
  parts.push_back(text.substr(begin));
  return parts;
}

/// What of one specification belongs to one kind.
struct SpecPart {
  std::string_view kind;
  std::string_view arguments;
};

SpecPart split_kind(std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  return {text.substr(0, colon), colon == text.size() ? std::string_view() : text.substr(colon + 1)};
}

/// One `key=value`; `before` are those that stand left of it.
Result<std::pair<std::string, std::string>> parse_key(const DeviceKind& kind, std::string_view part,
                                                      const DeviceArguments::Pairs& before) {
  const std::vector<std::string> known = names_of(kind.keys);
  const std::size_t equals = part.find('=');
  const std::string key(part.substr(0, equals));
  if (std::ranges::find(known, key) == known.end())
    return fail(EINVAL, kind.name + ": no key \"" + key + "\"; " + among(key, known));
  if (equals == std::string_view::npos)
    return fail(EINVAL, kind.name + ": " + key + " has no value; write " + key + "=...");
  if (std::ranges::any_of(before, [&](const auto& pair) { return pair.first == key; }))
    return fail(EINVAL, kind.name + ": " + key + " is given twice; give it once");
  return std::pair(key, std::string(part.substr(equals + 1)));
}

Result<DeviceArguments> parse_arguments(const DeviceKind& kind, std::string_view text) {
  std::string argument;
  DeviceArguments::Pairs pairs;
  std::vector<std::string_view> parts;
  if (!text.empty()) parts = split_keys(text);
  if (!kind.argument.empty()) {
    if (parts.empty() || parts[0].empty() || starts_key(parts[0]))
      return fail(EINVAL, kind.name + ": no " + kind.argument + "; write " + kind.name + ":" + kind.argument);
    argument = parts[0];
    parts.erase(parts.begin());
  }
  for (const std::string_view part : parts) {
    auto pair = parse_key(kind, part, pairs);
    if (!pair) return std::unexpected(pair.error());
    pairs.push_back(std::move(*pair));
  }
  return DeviceArguments(kind.name, std::move(argument), std::move(pairs));
}

void help_on(const DeviceKind& kind, std::string& text) {
  text += "  " + kind.name + (kind.argument.empty() ? "" : ":" + kind.argument);
  text += std::string(text.size() - text.rfind('\n') < 15 ? 15 - (text.size() - text.rfind('\n')) : 1, ' ');
  text += kind.summary + "\n";
  std::size_t width = 0;
  for (const DeviceKey& key : kind.keys) width = std::max(width, key.name.size() + 1 + key.values.size());
  for (const DeviceKey& key : kind.keys) {
    const std::string left = key.name + "=" + key.values;
    text += "      " + left + std::string(width - left.size() + 2, ' ') + key.help + "\n";
  }
}

}  // namespace

DeviceCatalog DeviceCatalog::builtin() {
  DeviceCatalog catalog;
  catalog.add(gen_device_kind());
  catalog.add(loopback_device_kind());
  catalog.add(vhost_user_device_kind());
  catalog.add(tap_device_kind());
  catalog.add(tun_device_kind());
  catalog.add(packet_device_kind());
  catalog.add(fault_device_kind());
  catalog.add(trace_device_kind());
  return catalog;
}

void DeviceCatalog::add(DeviceKind kind) {
  std::erase_if(kinds_, [&](const DeviceKind& old) { return old.name == kind.name; });
  kinds_.push_back(std::move(kind));
}

const DeviceKind* DeviceCatalog::find(std::string_view name) const {
  const auto at = std::ranges::find(kinds_, name, [](const DeviceKind& kind) -> std::string_view { return kind.name; });
  return at == kinds_.end() ? nullptr : &*at;
}

Error DeviceCatalog::unknown_kind(std::string_view name) const {
  if (name.empty()) return {EINVAL, "no device named; write KIND:key=value,... such as gen:flows=16"};
  return {ENODEV, "no device kind \"" + std::string(name) + "\"; " + among(name, names_of(kinds_))};
}

Result<std::unique_ptr<NetDevice>> DeviceCatalog::open(std::string_view spec) const {
  const std::string_view name = spec.substr(0, std::min(spec.find(':'), spec.find(kWraps)));
  const DeviceKind* kind = find(name);
  if (kind == nullptr) return std::unexpected(unknown_kind(name));
  if (!kind->is_middleware()) {
    auto arguments = parse_arguments(*kind, split_kind(spec).arguments);
    if (!arguments) return std::unexpected(arguments.error());
    return kind->open(*arguments);
  }
  const std::size_t wraps = spec.find(kWraps);
  if (wraps == std::string_view::npos)
    return fail(EINVAL, kind->name + ": wraps no device; write " + kind->name + ":...//DEVICE, as in " + kind->name +
                            (kind->argument.empty() ? "" : ":" + kind->argument) + "//gen:flows=16");
  auto arguments = parse_arguments(*kind, split_kind(spec.substr(0, wraps)).arguments);
  if (!arguments) return std::unexpected(arguments.error());
  auto inner = open(spec.substr(wraps + kWraps.size()));
  if (!inner) return inner;
  return kind->wrap(*arguments, std::move(*inner));
}

Result<std::unique_ptr<NetDevice>> DeviceCatalog::open_sink(std::string_view spec, std::size_t queues) const {
  const std::string_view name = spec.substr(0, std::min(spec.find(':'), spec.find(kWraps)));
  const DeviceKind* kind = find(name);
  if (kind == nullptr) return std::unexpected(unknown_kind(name));
  if (!kind->open_sink) {
    std::string known;
    for (const DeviceKind& one : kinds_)
      if (one.open_sink) known += (known.empty() ? "" : ", ") + one.name;
    return fail(EOPNOTSUPP, kind->name + " can't be sent to; these can: " + known);
  }
  auto arguments = parse_arguments(*kind, split_kind(spec).arguments);
  if (!arguments) return std::unexpected(arguments.error());
  return kind->open_sink(*arguments, queues);
}

std::string DeviceCatalog::help() const {
  std::string text = "Devices (KIND[:ARGUMENT][,key=value]...):\n";
  for (const DeviceKind& kind : kinds_)
    if (!kind.is_middleware()) help_on(kind, text);
  text += "Middleware (KIND[:key=value,...]//DEVICE):\n";
  for (const DeviceKind& kind : kinds_)
    if (kind.is_middleware()) help_on(kind, text);
  return text;
}

Result<std::unique_ptr<NetDevice>> open_device(std::string_view spec) { return DeviceCatalog::builtin().open(spec); }

}  // namespace netrx
