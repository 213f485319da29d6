// SPDX-License-Identifier: Apache-2.0
#include "base/kernel_number.h"

#include <limits>

#include "base/error_text.h"
#include "base/hex_digit.h"

namespace netrx {

namespace {

/// The longest number, sign included, that proc_dointvec takes; one more could have been cut short by its buffer.
constexpr std::size_t kSysctlNumber = 20;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct Scanned {
  std::uint64_t value = 0;
  std::size_t length = 0;  ///< characters, the prefix included
  bool digits = false;     ///< there was at least one
  bool overflow = false;   ///< 2^64 or more
};

/// Reads digits up to the first character that is none in the base that the prefix announces. "0x" without a hex digit
/// behind it is an octal 0, and an x.
Scanned scan(std::string_view text) {
  unsigned base = 10;
  Scanned number;
  if (text.starts_with('0')) {
    base = 8;
    if (text.size() > 2 && (text[1] == 'x' || text[1] == 'X') && hex_digit(text[2]) >= 0) {
      base = 16;
      number.length = 2;
    }
  }
  for (; number.length < text.size(); ++number.length) {
    const int digit = hex_digit(text[number.length]);
    if (digit < 0 || static_cast<unsigned>(digit) >= base) break;
    const std::uint64_t limit = (std::numeric_limits<std::uint64_t>::max() - static_cast<unsigned>(digit)) / base;
    number.overflow = number.overflow || number.value > limit;
    number.value = number.value * base + static_cast<unsigned>(digit);
    number.digits = true;
  }
  return number;
}

}  // namespace

bool is_kernel_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == '\xa0'; }

Result<int> parse_sysctl_int(std::string_view text) {
  std::string_view rest = text;
  while (!rest.empty() && is_kernel_space(rest.front())) rest.remove_prefix(1);
  const bool negative = rest.size() > 1 && rest.front() == '-';
  if (negative) rest.remove_prefix(1);
  if (rest.empty() || !is_digit(rest.front())) return refuse(text, EINVAL, "not a number; write digits, such as 300");
  const Scanned number = scan(rest);
  if (number.length + (negative ? 1 : 0) > kSysctlNumber)
    return refuse(text, EINVAL, "a number of more than 20 characters; leave out leading zeros");
  const bool ends = number.length == rest.size() || rest[number.length] == ' ' || rest[number.length] == '\t' ||
                    rest[number.length] == '\n';
  if (!ends) return refuse(text, EINVAL, in_quotes(rest.substr(number.length, 1)) + " does not belong into a number");
  constexpr std::uint64_t kMax = std::numeric_limits<int>::max();
  if (number.overflow || number.value > kMax + (negative ? 1 : 0))
    return refuse(text, EINVAL, "does not fit into an int; -2147483648 to 2147483647 do");
  const auto value = static_cast<std::int64_t>(number.value);
  return static_cast<int>(negative ? -value : value);
}

Result<std::uint64_t> parse_sysfs_ulong(std::string_view text) {
  std::string_view rest = text.substr(0, text.find('\0'));
  if (rest.starts_with('+')) rest.remove_prefix(1);
  const Scanned number = scan(rest);
  if (number.overflow) return refuse(text, ERANGE, "2^64 or more; the largest is 18446744073709551615");
  if (!number.digits) return refuse(text, EINVAL, "not a number; write digits, such as 4096");
  rest.remove_prefix(number.length);
  if (rest.starts_with('\n')) rest.remove_prefix(1);
  if (!rest.empty()) return refuse(text, EINVAL, in_quotes(rest.substr(0, 1)) + " does not belong into a number");
  return number.value;
}

Result<bool> parse_sysfs_bool(std::string_view text) {
  const auto lower = [&](std::size_t at) { return at < text.size() ? static_cast<char>(text[at] | 0x20) : '\0'; };
  switch (text.empty() ? '\0' : text[0]) {
    case '1':
    case 'y':
    case 'Y':
    case 't':
    case 'T': return true;
    case '0':
    case 'n':
    case 'N':
    case 'f':
    case 'F': return false;
    case 'o':
    case 'O':
      if (lower(1) == 'n') return true;
      if (lower(1) == 'f') return false;
      break;
    default: break;
  }
  return refuse(text, EINVAL, "neither on nor off; write 1 or 0");
}

}  // namespace netrx
