// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <gtest/gtest.h>

namespace netrx::cli {
namespace {

TEST(Table, AlignsByCharactersNotBytes) {
  TextTable table({"cpu", "delay", "x"}, "l");
  table.row({"0", "1.23 µs", "1"});
  table.row({"all", "45 ns", ""});
  EXPECT_EQ(table.text(),
            "  cpu    delay  x\n"
            "  0    1.23 µs  1\n"
            "  all    45 ns\n");
}

TEST(Table, BarsFillInEighths) {
  EXPECT_EQ(bar(0, 8, 2), "  ");
  EXPECT_EQ(bar(8, 8, 2), "██");
  EXPECT_EQ(bar(5, 16, 2), "▋ ");
  EXPECT_EQ(bar(1, 0, 2), "  ");
  EXPECT_EQ(bar(9, 8, 2), "██");
}

TEST(Table, CutsBetweenCharacters) {
  EXPECT_EQ(columns("µs██"), 4u);
  EXPECT_EQ(first_columns("µs██x", 3), "µs█");
  EXPECT_EQ(first_columns("ab", 3), "ab");
}

}  // namespace
}  // namespace netrx::cli
