// SPDX-License-Identifier: Apache-2.0
#include "netrx/cpu_mask.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <ostream>
#include <utility>

namespace netrx {
namespace {

using Cpus = std::vector<std::uint16_t>;

struct Case {
  std::string_view text;
  std::uint32_t nr_cpu_ids;
  int code;  ///< 0: accepted
  Cpus cpus;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << '"' << c.text << "\" of " << c.nr_cpu_ids << " CPUs";
}

void check(const Result<CpuMask>& mask, const Case& c) {
  SCOPED_TRACE(testing::Message() << c);
  ASSERT_EQ(mask ? 0 : mask.error().code, c.code) << (mask ? "" : mask.error().text);
  if (mask) {
    EXPECT_EQ(mask->cpus(), c.cpus);
    EXPECT_EQ(mask->nr_cpu_ids(), c.nr_cpu_ids);
  }
}

TEST(CpuMask, ParsesAsTheKernelDoes) {
  using namespace std::string_view_literals;
  const Case cases[] = {
      {"f", 4, 0, {0, 1, 2, 3}},
      {"A", 4, 0, {1, 3}},
      {" 3,", 4, 0, {0, 1}},
      {"", 4, 0, {}},
      {"\n", 4, 0, {}},
      {",", 4, 0, {}},
      {" , ,\t", 4, 0, {}},
      {"0", 4, 0, {}},
      {"00000003", 4, 0, {0, 1}},
      {"3\n", 4, 0, {0, 1}},
      {"3\ng", 4, 0, {0, 1}},
      {"3\0g"sv, 4, 0, {0, 1}},
      {"\xa0"
       "3\v",
       4,
       0,
       {0, 1}},
      {"1f", 4, EOVERFLOW, {}},
      {"10", 4, EOVERFLOW, {}},
      {"0,f", 4, EOVERFLOW, {}},
      {"g,f", 4, EOVERFLOW, {}},  // words are counted before they are read
      {"000000001", 4, EOVERFLOW, {}},
      {"g", 4, EINVAL, {}},
      {"3g", 4, EINVAL, {}},
      {"-1", 4, EINVAL, {}},
      {"0x3", 4, EINVAL, {}},
      {"1,,2", 36, 0, {1, 32}},
      {"00000000,0000000f", 36, 0, {0, 1, 2, 3}},
      {"f 00000000", 36, 0, {32, 33, 34, 35}},
      {"8,0", 36, 0, {35}},
      {"10,0", 36, EOVERFLOW, {}},
      {"0,0,0", 36, EOVERFLOW, {}},
      {"f00000000", 36, EOVERFLOW, {}},
      {"ffffffff,ffffffff", 64, 0, CpuMask::parse_list("0-63", 64)->cpus()},
      {"80000000", 32, 0, {31}},
      {"0", 0, EOVERFLOW, {}},
      {"", 0, 0, {}},
  };
  for (const Case& c : cases) check(CpuMask::parse(c.text, c.nr_cpu_ids), c);
}

TEST(CpuMask, OneForeignCharacterBeforeEightDigitsGoesUnread) {
  const Case cases[] = {
      {"x00000003", 4, 0, {0, 1}},       {"0x00000003", 4, EOVERFLOW, {}},  // what is left of the x is a second word
      {"xx00000003", 4, EOVERFLOW, {}},  {"xx00000003", 36, EINVAL, {}},   {"0x00000003", 36, 0, {0, 1}},
      {"1x00000003", 36, 0, {0, 1, 32}}, {"x0000003", 36, EINVAL, {}},
  };
  for (const Case& c : cases) check(CpuMask::parse(c.text, c.nr_cpu_ids), c);
}

TEST(CpuMask, ParsesLists) {
  const Case cases[] = {
      {"0-3,8", 9, 0, {0, 1, 2, 3, 8}},
      {"5", 9, 0, {5}},
      {" 1 , 3-4\n", 9, 0, {1, 3, 4}},
      {"2-2,2", 9, 0, {2}},
      {"", 9, EINVAL, {}},
      {"0,", 9, EINVAL, {}},
      {"3-1", 9, EINVAL, {}},
      {"-3", 9, EINVAL, {}},
      {"1-", 9, EINVAL, {}},
      {"a", 9, EINVAL, {}},
      {"0x1", 9, EINVAL, {}},
      {"9", 9, ERANGE, {}},
      {"0-9", 9, ERANGE, {}},
      {"0-99999999999999999999999999", 9, ERANGE, {}},
  };
  for (const Case& c : cases) check(CpuMask::parse_list(c.text, c.nr_cpu_ids), c);
}

TEST(CpuMask, PrintsGroupsOf32Bits) {
  const std::pair<CpuMask, std::string_view> cases[] = {
      {CpuMask(1), "0"},
      {CpuMask(4), "0"},
      {CpuMask(5), "00"},
      {CpuMask(33), "0,00000000"},
      {*CpuMask::parse_list("0-3", 4), "f"},
      {*CpuMask::parse_list("1,32", 36), "1,00000002"},
      {*CpuMask::parse_list("0", 64), "00000000,00000001"},
      {*CpuMask::parse_list("63", 64), "80000000,00000000"},
  };
  for (const auto& [mask, text] : cases) EXPECT_EQ(mask.to_string(), text);
}

TEST(CpuMask, PrintsLists) {
  EXPECT_EQ(CpuMask(8).to_list(), "");
  EXPECT_EQ(CpuMask::parse_list("7,0,1,3", 8)->to_list(), "0-1,3,7");
}

TEST(CpuMask, ErrorsNameTheValueTheErrnoAndTheRemedy) {
  EXPECT_EQ(CpuMask::parse("1f\n", 4).error().text, "\"1f\": EOVERFLOW: CPU 4 does not exist, there are CPUs 0-3");
  EXPECT_EQ(CpuMask::parse("0x3", 4).error().text,
            "\"0x3\": EINVAL: \"x\" is not a hex digit; write a mask such as f, without 0x");
  EXPECT_EQ(CpuMask::parse_list("0-1", 1).error().text, "\"0-1\": ERANGE: CPU 1 does not exist, there is only CPU 0");
}

TEST(CpuMask, TestsBeyondItsEndAreFalse) {
  CpuMask mask(2);
  mask.set(1);
  EXPECT_TRUE(mask.test(1));
  EXPECT_FALSE(mask.test(2));
  EXPECT_FALSE(mask.empty());
  mask.set(1, false);
  EXPECT_TRUE(mask.empty());
}

/// The grammar once more, by rewriting the text into words: its errno, or the words.
struct Naive {
  int code = 0;
  std::vector<unsigned long> words;  ///< least significant first
};

Naive naive_parse(std::string text, std::size_t most_words) {
  text = text.substr(0, text.find_first_of(std::string("\n\0", 2)));
  Naive naive;
  const std::string separators = ", \t\v\f\r\xa0";
  const std::string digits = "0123456789abcdefABCDEF";
  for (;;) {
    text.erase(text.find_last_not_of(separators) + 1);  // npos + 1 is 0
    if (text.empty()) return naive;
    if (naive.words.size() == most_words) return {EOVERFLOW, {}};
    const std::size_t start = text.find_last_of(separators) + 1;
    const std::string token = text.substr(start);
    const std::size_t foreign = token.find_last_not_of(digits);
    const std::size_t run = token.size() - (foreign + 1);
    if (run > 8) return {EOVERFLOW, {}};
    if (run < 8 && foreign != std::string::npos) return {EINVAL, {}};
    naive.words.push_back(std::stoul(token.substr(token.size() - run), nullptr, 16));
    text.erase(start + (foreign == std::string::npos ? 0 : foreign));
  }
}

RC_GTEST_PROP(CpuMaskProperty, ParseEqualsTheNaiveParser, ()) {
  const auto piece = rc::gen::weightedOneOf<std::string>({
      {6, rc::gen::resize(9, rc::gen::container<std::string>(rc::gen::elementOf(std::string("0123456789abcdefABF"))))},
      {2, rc::gen::element<std::string>("00000000", "00000001", "ffffffff", "0")},
      {5, rc::gen::element<std::string>(",", " ", "\t", ",,", "\xa0")},
      {1, rc::gen::element<std::string>("x", "g", "\n", "-", std::string(1, '\0'))},
  });
  std::string text;
  for (const std::string& part : *rc::gen::resize(6, rc::gen::container<std::vector<std::string>>(piece))) text += part;
  const auto nr_cpu_ids = *rc::gen::inRange(1u, 130u);

  const Result<CpuMask> mask = CpuMask::parse(text, nr_cpu_ids);
  Naive naive = naive_parse(text, (nr_cpu_ids + 31) / 32);
  CpuMask expected(nr_cpu_ids);
  for (std::size_t bit = 0; bit < naive.words.size() * 32; ++bit) {
    if ((naive.words[bit / 32] >> bit % 32 & 1) == 0) continue;
    if (bit < nr_cpu_ids)
      expected.set(static_cast<std::uint32_t>(bit));
    else
      naive.code = EOVERFLOW;
  }
  RC_TAG(naive.code == 0 ? "accepted" : naive.code == EINVAL ? "EINVAL" : "EOVERFLOW");
  RC_ASSERT((mask ? 0 : mask.error().code) == naive.code);
  if (mask) RC_ASSERT(*mask == expected);
}

RC_GTEST_PROP(CpuMaskProperty, WhatIsPrintedReadsBackTheSame, ()) {
  const auto bits = *rc::gen::nonEmpty(rc::gen::arbitrary<std::vector<bool>>());
  CpuMask mask(static_cast<std::uint32_t>(bits.size()));
  for (std::uint32_t cpu = 0; cpu < bits.size(); ++cpu) mask.set(cpu, bits[cpu]);
  RC_ASSERT(*CpuMask::parse(mask.to_string() + '\n', mask.nr_cpu_ids()) == mask);
  if (!mask.empty()) RC_ASSERT(*CpuMask::parse_list(mask.to_list(), mask.nr_cpu_ids()) == mask);
}

}  // namespace
}  // namespace netrx
