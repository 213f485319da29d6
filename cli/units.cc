// SPDX-License-Identifier: Apache-2.0
#include "units.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numeric>

namespace netrx::cli {

namespace {

/// Splits "1.5ms" into 1.5 and "ms"; false when it does not begin with a plain number.
bool split_number(std::string_view text, double& number, std::string_view& unit) {
  const char* end = text.end();
  const auto [rest, error] = std::from_chars(text.begin(), end, number, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(number)) return false;
  unit = {rest, static_cast<std::size_t>(end - rest)};
  return true;
}

struct Unit {
  std::string_view name;
  double nanoseconds;
};
constexpr Unit kUnits[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}};

}  // namespace

Result<Nanos> parse_duration(std::string_view text) {
  double number = 0;
  std::string_view unit;
  if (!split_number(text, number, unit) || number < 0) return fail(EINVAL, "write a duration with its unit, e.g. 50ms");
  for (const Unit& known : kUnits) {
    if (known.name != unit) continue;
    const double nanoseconds = number * known.nanoseconds;
    if (nanoseconds > 86'400e9) return fail(ERANGE, "a day is the longest");
    return Nanos(std::llround(nanoseconds));
  }
  return fail(EINVAL, "write a duration with its unit (ns, us, ms, s or m), e.g. 50ms");
}

Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t low, std::uint64_t high) {
  std::uint64_t number = 0;
  const char* end = text.end();
  const auto [rest, error] = std::from_chars(text.begin(), end, number);
  const std::string_view suffix(rest, static_cast<std::size_t>(end - rest));
  std::uint64_t factor = 1;
  if (suffix == "k") factor = 1'000;
  if (suffix == "M") factor = 1'000'000;
  if (suffix == "G") factor = 1'000'000'000;
  const bool plain = suffix.empty() || factor != 1;
  if (error == std::errc::invalid_argument || !plain)
    return fail(EINVAL,
                fmt::format("write a whole number from {} to {}, e.g. {}", low, high, low < 64 ? "100 or 10k" : "10k"));
  if (error != std::errc{} || number > high / factor || number * factor < low)
    return fail(ERANGE, fmt::format("it must be from {} to {}", low, high));
  return number * factor;
}

std::string grouped(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

namespace {

std::string three_digits(double value) {
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace

std::string short_duration(std::uint64_t nanoseconds) {
  const double value = static_cast<double>(nanoseconds);
  if (nanoseconds < 1'000) return fmt::format("{} ns", nanoseconds);
  if (value < 999.5e3) return three_digits(value / 1e3) + " µs";
  if (value < 999.5e6) return three_digits(value / 1e6) + " ms";
  return three_digits(value / 1e9) + " s";
}

std::string short_number(double number) {
  if (number < 1e3) return fmt::format("{:.0f}", number);
  if (number < 999.5e3) return three_digits(number / 1e3) + " k";
  if (number < 999.5e6) return three_digits(number / 1e6) + " M";
  return three_digits(number / 1e9) + " G";
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return "-";
  return fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string errno_text(int code) {
  const char* name = strerrorname_np(code);
  const char* words = strerrordesc_np(code);
  return fmt::format("{}: {}", name != nullptr ? name : "errno", words != nullptr ? words : std::to_string(code));
}

std::string full_text(const Error& error) {
  const char* name = strerrorname_np(error.code);
  const char* words = strerrordesc_np(error.code);
  if (name == nullptr || words == nullptr || error.text.find(words) != std::string::npos) return error.text;
  const bool named = error.text.find(name) != std::string::npos;
  return fmt::format("{} ({})", error.text, named ? words : errno_text(error.code));
}

namespace {

/// Levenshtein's distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const std::size_t d = distance(word, candidate);
    if (d >= best_distance) continue;
    best_distance = d;
    best = candidate;
  }
  return best;
}

}  // namespace netrx::cli
