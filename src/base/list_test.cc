// SPDX-License-Identifier: Apache-2.0
#include "base/list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace netrx {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Item : ListNode {
  explicit Item(int n) : number(n) {}
  int number;
};

std::vector<int> drain(List<Item>& list) {
  std::vector<int> numbers;
  while (!list.empty()) numbers.push_back(list.pop_front().number);
  return numbers;
}

TEST(List, KeepsOrderOfArrival) {
  List<Item> list;
  Item a(1), b(2), c(3);
  for (Item* item : {&a, &b, &c}) list.push_back(*item);
  EXPECT_EQ(list.front().number, 1);
  EXPECT_THAT(drain(list), ElementsAre(1, 2, 3));
  EXPECT_FALSE(a.linked() || b.linked() || c.linked());
}

TEST(List, UnlinksFromAnyPlace) {
  List<Item> list;
  Item a(1), b(2), c(3), d(4);
  for (Item* item : {&a, &b, &c, &d}) list.push_back(*item);
  b.unlink();
  EXPECT_FALSE(b.linked());
  d.unlink();
  a.unlink();
  EXPECT_THAT(drain(list), ElementsAre(3));
}

TEST(List, AnUnlinkedElementCanBeLinkedAgain) {
  List<Item> list;
  Item a(1), b(2);
  list.push_back(a);
  list.push_back(b);
  a.unlink();
  list.push_back(a);
  EXPECT_THAT(drain(list), ElementsAre(2, 1));
}

TEST(List, SpliceBackMovesAllInOrderAndLeavesTheOtherUsable) {
  List<Item> first, second;
  Item a(1), b(2), c(3), d(4);
  first.push_back(a);
  second.push_back(b);
  second.push_back(c);
  first.splice_back(second);
  EXPECT_TRUE(second.empty());
  second.push_back(d);
  EXPECT_THAT(drain(first), ElementsAre(1, 2, 3));
  EXPECT_THAT(drain(second), ElementsAre(4));
}

TEST(List, SpliceOfOrOntoAnEmptyList) {
  List<Item> first, second;
  Item a(1);
  first.splice_back(second);
  EXPECT_THAT(drain(first), IsEmpty());
  second.push_back(a);
  first.splice_back(second);
  first.splice_back(second);
  EXPECT_THAT(drain(first), ElementsAre(1));
}

#if defined(NETRX_VERIFY)
TEST(ListDeathTest, AnElementIsOnOneListOnly) {
  List<Item> list, other;
  Item a(1);
  list.push_back(a);
  EXPECT_DEATH(other.push_back(a), "invariant broken");
  a.unlink();
  EXPECT_DEATH(a.unlink(), "invariant broken");
  EXPECT_DEATH((void)list.front(), "invariant broken");
}
#endif

}  // namespace
}  // namespace netrx
