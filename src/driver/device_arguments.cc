// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>

#include "netrx/devices.h"

namespace netrx {

namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// "12.5" times `factor`, exactly, where the result is whole or digits beyond it are few; nothing else. `end`: what
/// follows the number.
std::optional<std::uint64_t> decimal(std::string_view text, std::uint64_t factor) {
  using Wide = unsigned long long;
  const std::size_t dot = std::min(text.find('.'), text.size());
  const std::string_view whole = text.substr(0, dot);
  const std::string_view fraction = dot == text.size() ? std::string_view() : text.substr(dot + 1);
  if (whole.empty() || (dot != text.size() && fraction.empty()) || fraction.size() > 9) return {};
  if (!std::ranges::all_of(whole, is_digit) || !std::ranges::all_of(fraction, is_digit)) return {};
  Wide value = 0;
  if (std::from_chars(whole.data(), whole.data() + whole.size(), value).ec != std::errc()) return {};
  if (__builtin_mul_overflow(value, Wide{factor}, &value)) return {};
  Wide part = 0, scale = 1;
  for (const char c : fraction) {
    part = part * 10 + static_cast<Wide>(c - '0');
    scale *= 10;
  }
  if (__builtin_mul_overflow(part, Wide{factor}, &part) || part % scale != 0) return {};
  if (__builtin_add_overflow(value, part / scale, &value)) return {};
  return value;
}

/// Splits the unit off the end of `text`; no letters mean the unit of that name, "".
std::optional<std::uint64_t> with_unit(std::string_view text, std::span<const Unit> units) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const auto unit = std::ranges::find(units, text.substr(digits), &Unit::name);
  if (unit == units.end()) return {};
  return decimal(text.substr(0, digits), unit->factor);
}

std::string thousandths_text(std::uint64_t value) {
  std::string text = std::to_string(value / 1000);
  if (value % 1000 == 0) return text;
  text += '.' + std::to_string(1000 + value % 1000).substr(1);
  while (text.back() == '0') text.pop_back();
  return text;
}

std::string duration_text(Nanos value) {
  constexpr std::array<Unit, 4> kUnits{{{"s", 1'000'000'000}, {"ms", 1'000'000}, {"us", 1000}, {"ns", 1}}};
  const auto n = static_cast<std::uint64_t>(value.count());
  const auto unit = std::ranges::find_if(kUnits, [n](const Unit& u) { return n % u.factor == 0; });
  return std::to_string(n / unit->factor) + std::string(unit->name);
}

std::string range_text(const std::string& low, const std::string& high) { return "give " + low + " to " + high; }

}  // namespace

const std::string* DeviceArguments::find(std::string_view key) const {
  const auto at = std::ranges::find(pairs_, key, [](const auto& pair) -> std::string_view { return pair.first; });
  return at == pairs_.end() ? nullptr : &at->second;
}

void DeviceArguments::refuse(std::string_view key, std::string_view remedy, int code) {
  if (error_) return;
  const std::string* value = find(key);
  std::string text = kind_ + ": ";
  if (value != nullptr)
    text += std::string(key) + "=" + *value + ": ";
  else if (!key.empty())
    text += std::string(key) + ": ";
  error_ = Error{code, text + std::string(remedy)};
}

std::string DeviceArguments::text(std::string_view key, std::string_view fallback) const {
  const std::string* value = find(key);
  return value == nullptr ? std::string(fallback) : *value;
}

std::uint64_t DeviceArguments::number(std::string_view key, std::uint64_t fallback, std::uint64_t low,
                                      std::uint64_t high) {
  constexpr std::array<Unit, 5> kUnits{{{"", 1}, {"k", 1000}, {"K", 1000}, {"M", 1'000'000}, {"G", 1'000'000'000}}};
  const std::string* given = find(key);
  if (given == nullptr) return fallback;
  const auto value = with_unit(*given, kUnits);
  const std::string range = range_text(std::to_string(low), std::to_string(high));
  if (!value) {
    refuse(key, "not a whole number; " + range);
  } else if (*value < low || *value > high) {
    refuse(key, "out of range; " + range, ERANGE);
  } else {
    return *value;
  }
  return fallback;
}

std::uint64_t DeviceArguments::thousandths(std::string_view key, std::uint64_t fallback, std::uint64_t low,
                                           std::uint64_t high) {
  const std::string* given = find(key);
  if (given == nullptr) return fallback;
  const auto value = decimal(*given, 1000);
  const std::string range = range_text(thousandths_text(low), thousandths_text(high));
  if (!value) {
    refuse(key, "not a number with up to three decimals; " + range);
  } else if (*value < low || *value > high) {
    refuse(key, "out of range; " + range, ERANGE);
  } else {
    return *value;
  }
  return fallback;
}

std::uint32_t DeviceArguments::ppm(std::string_view key, std::uint32_t fallback) {
  constexpr std::array<Unit, 2> kUnits{{{"", 1}, {"%", 10'000}}};
  const std::string* given = find(key);
  if (given == nullptr) return fallback;
  const auto value = with_unit(*given, kUnits);
  if (!value) {
    refuse(key, "not a share; give parts in a million (1000) or a percentage (0.1%)");
  } else if (*value > 1'000'000) {
    refuse(key, "more than all; give 0 to 1000000 parts in a million, or 0% to 100%", ERANGE);
  } else {
    return static_cast<std::uint32_t>(*value);
  }
  return fallback;
}

Nanos DeviceArguments::duration(std::string_view key, Nanos fallback, Nanos low, Nanos high) {
  constexpr std::array<Unit, 4> kUnits{{{"ns", 1}, {"us", 1000}, {"ms", 1'000'000}, {"s", 1'000'000'000}}};
  const std::string* given = find(key);
  if (given == nullptr) return fallback;
  const auto value = with_unit(*given, kUnits);
  const std::string range = range_text(duration_text(low), duration_text(high));
  if (!value) {
    refuse(key, "not a duration; " + range + ", with its unit (ns, us, ms or s)");
  } else if (*value < static_cast<std::uint64_t>(low.count()) || *value > static_cast<std::uint64_t>(high.count())) {
    refuse(key, "out of range; " + range, ERANGE);
  } else {
    return Nanos{static_cast<std::int64_t>(*value)};
  }
  return fallback;
}

bool DeviceArguments::on_off(std::string_view key, bool fallback) {
  const std::string* given = find(key);
  if (given == nullptr) return fallback;
  if (*given != "on" && *given != "off") refuse(key, "give on or off");
  return *given == "on";
}

std::size_t DeviceArguments::choice(std::string_view key, std::size_t fallback,
                                    std::initializer_list<std::string_view> known) {
  const std::string* given = find(key);
  if (given == nullptr) return fallback;
  const auto at = std::ranges::find(known, std::string_view(*given));
  if (at != known.end()) return static_cast<std::size_t>(at - known.begin());
  std::string list;
  for (const std::string_view word : known) list += (list.empty() ? "" : ", ") + std::string(word);
  refuse(key, "not known; one of " + list);
  return fallback;
}

}  // namespace netrx
