// SPDX-License-Identifier: Apache-2.0
#include "netrx/cpu_mask.h"

#include <algorithm>

#include "base/error_text.h"
#include "base/hex_digit.h"
#include "base/kernel_number.h"

namespace netrx {

namespace {

constexpr std::uint32_t kWordBits = 32;
constexpr std::size_t kWordDigits = kWordBits / 4;

std::uint32_t word_count(std::uint32_t nr_cpu_ids) { return nr_cpu_ids / kWordBits + (nr_cpu_ids % kWordBits != 0); }

bool is_separator(char c) { return c == ',' || is_kernel_space(c); }

std::string range_of_cpus(std::uint32_t nr_cpu_ids) {
  if (nr_cpu_ids == 0) return "there are no CPUs";
  if (nr_cpu_ids == 1) return "there is only CPU 0";
  return "there are CPUs 0-" + std::to_string(nr_cpu_ids - 1);
}

std::string no_such_cpu(std::uint64_t cpu, std::uint32_t nr_cpu_ids) {
  return "CPU " + std::to_string(cpu) + " does not exist, " + range_of_cpus(nr_cpu_ids);
}

/// Takes the last word off `text`, which does not end with a separator. Words are read from the right because their
/// place counts from there.
Result<std::uint32_t> take_last_word(std::string_view& text) {
  std::uint32_t word = 0;
  std::size_t digits = 0;
  while (digits < kWordDigits && !text.empty() && hex_digit(text.back()) >= 0) {
    word |= static_cast<std::uint32_t>(hex_digit(text.back())) << (4 * digits++);
    text.remove_suffix(1);
  }
  if (text.empty() || is_separator(text.back())) return word;
  if (digits < kWordDigits)
    return fail(EINVAL,
                in_quotes(text.substr(text.size() - 1)) + " is not a hex digit; write a mask such as f, without 0x");
  if (hex_digit(text.back()) >= 0)
    return fail(EOVERFLOW, "more than 8 hex digits in a row; put a comma before each 8, from the right");
  text.remove_suffix(1);  // what stands before exactly 8 digits goes unread, whatever it is: the kernel's habit
  return word;
}

/// Reads "N" or "N-M" in decimal.
bool read_range(std::string_view item, std::uint64_t& first, std::uint64_t& last) {
  const auto number = [&](std::string_view text, std::uint64_t& value) {
    value = 0;
    for (const char c : text) {
      if (c < '0' || c > '9') return false;
      value = std::min<std::uint64_t>(value * 10 + static_cast<std::uint64_t>(c - '0'), UINT32_MAX);
    }
    return !text.empty();
  };
  const std::size_t dash = item.find('-');
  if (dash == std::string_view::npos) return number(item, first) && number(item, last);
  return number(item.substr(0, dash), first) && number(item.substr(dash + 1), last) && first <= last;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_kernel_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_kernel_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<CpuMask> CpuMask::parse(std::string_view text, std::uint32_t nr_cpu_ids) {
  std::string_view left = text.substr(0, std::min(text.find('\n'), text.find('\0')));
  const std::uint32_t words = word_count(nr_cpu_ids);
  CpuMask mask(nr_cpu_ids);
  for (std::uint32_t place = 0;; ++place) {
    while (!left.empty() && is_separator(left.back())) left.remove_suffix(1);
    if (left.empty()) return mask;
    if (place == words)
      return refuse(text, EOVERFLOW,
                    "too many words of 8 hex digits, " + range_of_cpus(nr_cpu_ids) + "; drop the first");
    const Result<std::uint32_t> word = take_last_word(left);
    if (!word) return refuse(text, word.error().code, word.error().text);
    for (std::uint32_t bit = 0; bit < kWordBits; ++bit) {
      if ((*word >> bit & 1) == 0) continue;
      const std::uint32_t cpu = place * kWordBits + bit;
      if (cpu >= nr_cpu_ids) return refuse(text, EOVERFLOW, no_such_cpu(cpu, nr_cpu_ids));
      mask.set(cpu);
    }
  }
}

Result<CpuMask> CpuMask::parse_list(std::string_view text, std::uint32_t nr_cpu_ids) {
  CpuMask mask(nr_cpu_ids);
  std::string_view left = trimmed(text);
  if (left.empty()) return refuse(text, EINVAL, "names no CPU; write a list such as 0-3,8");
  for (bool more = true; more;) {
    const std::size_t comma = left.find(',');
    const std::string_view item = trimmed(left.substr(0, comma));
    more = comma != std::string_view::npos;
    if (more) left.remove_prefix(comma + 1);
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    if (!read_range(item, first, last))
      return refuse(text, EINVAL, in_quotes(item) + " is neither a CPU nor a range; write a list such as 0-3,8");
    if (last >= nr_cpu_ids) return refuse(text, ERANGE, no_such_cpu(last, nr_cpu_ids));
    for (std::uint64_t cpu = first; cpu <= last; ++cpu) mask.set(static_cast<std::uint32_t>(cpu));
  }
  return mask;
}

std::string CpuMask::to_string() const {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (std::uint32_t digit = (nr_cpu_ids() + 3) / 4; digit-- > 0;) {
    unsigned value = 0;
    for (std::uint32_t bit = 4; bit-- > 0;) value = value * 2 + (test(digit * 4 + bit) ? 1 : 0);
    text += kHex[value];
    if (digit % kWordDigits == 0 && digit != 0) text += ',';
  }
  return text;
}

std::string CpuMask::to_list() const {
  std::string text;
  for (std::uint32_t first = 0; first < nr_cpu_ids(); ++first) {
    if (!test(first)) continue;
    std::uint32_t last = first;
    while (test(last + 1)) ++last;
    if (!text.empty()) text += ',';
    text += std::to_string(first);
    if (last != first) text += '-' + std::to_string(last);
    first = last;
  }
  return text;
}

bool CpuMask::empty() const { return std::ranges::find(bits_, true) == bits_.end(); }

std::vector<std::uint16_t> CpuMask::cpus() const {
  std::vector<std::uint16_t> cpus;
  for (std::uint32_t cpu = 0; cpu < nr_cpu_ids(); ++cpu)
    if (bits_[cpu]) cpus.push_back(static_cast<std::uint16_t>(cpu));
  return cpus;
}

}  // namespace netrx
