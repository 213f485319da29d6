// SPDX-License-Identifier: Apache-2.0
#include "base/kernel_number.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdlib>
#include <optional>
#include <regex>
#include <string>

namespace netrx {
namespace {

using namespace std::string_literals;

/// nullopt stands for EINVAL.
using MaybeInt = std::optional<int>;

MaybeInt as_optional(const Result<int>& value) {
  if (value) return *value;
  EXPECT_EQ(value.error().code, EINVAL);
  return std::nullopt;
}

TEST(SysctlInt, ReadsOneNumberAsProcSysDoes) {
  const std::pair<std::string, MaybeInt> cases[] = {
      {"300", 300},
      {"300\n", 300},
      {" \t\n 300", 300},
      {"\v300", 300},
      {"\xa0"
       "300",
       300},
      {"300 ", 300},
      {"300\n\n", 300},
      {"0x12c", 300},
      {"0X12C", 300},
      {"0454", 300},
      {"0", 0},
      {"-0", 0},
      {"-5", -5},
      {"-0x10", -16},
      {"300 400", 300},  // what follows a blank is not read
      {"300\tx", 300},
      {"2147483647", 2147483647},
      {"-2147483648", -2147483647 - 1},
      {"00000000000000000300", 192},  // 20 characters, octal
      {"000000000000000000300", {}},
      {"-0000000000000000001", -1},
      {"-00000000000000000001", {}},
      {"2147483648", {}},
      {"-2147483649", {}},
      {"4294967296", {}},
      {"18446744073709551616", {}},
      {"99999999999999999999", {}},
      {"300,400", {}},
      {"300x", {}},
      {"300\v", {}},
      {"300\0"s, {}},
      {"+300", {}},
      {"08", {}},
      {"0x", {}},
      {"0xg", {}},
      {"-", {}},
      {"- 1", {}},
      {"--1", {}},
      {"", {}},
      {"\n", {}},
      {" ", {}},
      {"x", {}},
  };
  for (const auto& [text, value] : cases) EXPECT_EQ(as_optional(parse_sysctl_int(text)), value) << '"' << text << '"';
}

struct Ulong {
  int code = 0;
  std::uint64_t value = 0;
  bool operator==(const Ulong&) const = default;
};

Ulong as_ulong(const Result<std::uint64_t>& value) { return value ? Ulong{0, *value} : Ulong{value.error().code, 0}; }

TEST(SysfsUlong, ReadsTheWholeTextAsSysDoes) {
  const std::pair<std::string, Ulong> cases[] = {
      {"3", {0, 3}},
      {"5\n", {0, 5}},
      {"+5", {0, 5}},
      {"0x10", {0, 16}},
      {"0XfF", {0, 255}},
      {"010", {0, 8}},
      {"0", {0, 0}},
      {"5\0"s, {0, 5}},
      {"5\n\0x"s, {0, 5}},
      {"18446744073709551615", {0, UINT64_MAX}},
      {"18446744073709551616", {ERANGE}},
      {"0x10000000000000000", {ERANGE}},
      {"99999999999999999999x", {ERANGE}},
      {"", {EINVAL}},
      {"\n", {EINVAL}},
      {" 5", {EINVAL}},
      {"5 ", {EINVAL}},
      {"5\n\n", {EINVAL}},
      {"-1", {EINVAL}},
      {"+-1", {EINVAL}},
      {"++1", {EINVAL}},
      {"08", {EINVAL}},
      {"0x", {EINVAL}},
      {"x", {EINVAL}},
  };
  for (const auto& [text, expected] : cases)
    EXPECT_EQ(as_ulong(parse_sysfs_ulong(text)), expected) << '"' << text << '"';
}

TEST(SysfsBool, ReadsTheFirstLetters) {
  for (const std::string_view text : {"1", "1\n", "10", "y", "Yes", "true", "T", "on", "ON", "oN!"})
    EXPECT_EQ(parse_sysfs_bool(text).value_or(false), true) << text;
  for (const std::string_view text : {"0", "00", "n", "No", "false", "F", "off", "OF"})
    EXPECT_EQ(parse_sysfs_bool(text).value_or(true), false) << text;
  for (const std::string_view text : {"", "\n", " 1", "2", "x", "o", "ok", "-1"}) {
    ASSERT_FALSE(parse_sysfs_bool(text)) << text;
    EXPECT_EQ(parse_sysfs_bool(text).error().code, EINVAL);
  }
}

std::string generated_text() {
  const auto piece = rc::gen::weightedOneOf<std::string>({
      {6, rc::gen::resize(6, rc::gen::container<std::string>(rc::gen::elementOf(std::string("0123456789"))))},
      {1, rc::gen::container<std::string>(rc::gen::elementOf(std::string("01234567890089abcxF")))},
      {3, rc::gen::element<std::string>("0x", "0", "2147483647", "2147483648", "18446744073709551615")},
      {2, rc::gen::element<std::string>("\n", " ", "\t", "-", "+", ",", "g")},
  });
  std::string text;
  for (const std::string& part : *rc::gen::resize(4, rc::gen::container<std::vector<std::string>>(piece))) text += part;
  return text;
}

RC_GTEST_PROP(SysctlIntProperty, EqualsARegexAndStrtoull, ()) {
  const std::string text = generated_text();
  static const std::regex number("\\s*(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)([ \\t\\n][^]*)?");
  std::smatch found;
  MaybeInt expected;
  if (std::regex_match(text, found, number) && found.length(1) + found.length(2) <= 20) {
    errno = 0;
    const unsigned long long value = std::strtoull(found.str(2).c_str(), nullptr, 0);
    const bool fits = errno == 0 && value <= 2147483647ull + (found.length(1) != 0);
    if (fits) expected = static_cast<int>(found.length(1) != 0 ? -static_cast<long long>(value) : value);
  }
  RC_TAG(expected.has_value());
  const Result<int> value = parse_sysctl_int(text);
  RC_ASSERT(value.has_value() == expected.has_value());
  if (value) RC_ASSERT(*value == *expected);
}

RC_GTEST_PROP(SysfsUlongProperty, EqualsARegexAndStrtoull, ()) {
  const std::string text = generated_text();
  static const std::regex start("\\+?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)");
  std::smatch found;
  Ulong expected{EINVAL};
  if (std::regex_search(text, found, start, std::regex_constants::match_continuous)) {
    errno = 0;
    const std::uint64_t value = std::strtoull(found.str(1).c_str(), nullptr, 0);
    const std::string rest = found.suffix();
    if (errno == ERANGE)
      expected = {ERANGE};
    else if (rest.empty() || rest == "\n")
      expected = {0, value};
  }
  RC_TAG(expected.code);
  RC_ASSERT(as_ulong(parse_sysfs_ulong(text)) == expected);
}

}  // namespace
}  // namespace netrx
