// SPDX-License-Identifier: Apache-2.0
#include "base/error_text.h"

#include <gtest/gtest.h>

namespace netrx {
namespace {

TEST(ErrorText, NamesErrnoValues) {
  EXPECT_EQ(errno_name(EINVAL), "EINVAL");
  EXPECT_EQ(errno_name(EOPNOTSUPP), "EOPNOTSUPP");
  EXPECT_EQ(errno_name(EOVERFLOW), "EOVERFLOW");
  EXPECT_EQ(errno_name(0), "E?");
}

TEST(ErrorText, QuotesInOneShortLine) {
  EXPECT_EQ(in_quotes("1f\n"), "\"1f\"");
  EXPECT_EQ(in_quotes("a\nb\n"), "\"a\\x0ab\"");
  EXPECT_EQ(in_quotes(std::string_view("\0\xff", 2)), "\"\\x00\\xff\"");
  EXPECT_EQ(in_quotes(std::string(60, 'x')), '"' + std::string(60, 'x') + '"');
  EXPECT_EQ(in_quotes(std::string(61, 'x')), '"' + std::string(60, 'x') + "...\"");
}

TEST(ErrorText, RefusesInOneForm) {
  const std::unexpected<Error> refused = refuse("g", EINVAL, "not a number");
  EXPECT_EQ(refused.error().code, EINVAL);
  EXPECT_EQ(refused.error().text, "\"g\": EINVAL: not a number");
}

}  // namespace
}  // namespace netrx
