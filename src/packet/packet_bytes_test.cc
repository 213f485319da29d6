// SPDX-License-Identifier: Apache-2.0
#include "netrx/packet_bytes.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace netrx {
namespace {

/// A packet of the bytes 0, 1, 2 ... in pieces of the given sizes; the first is linear, with `tailroom` behind it.
struct PiecedPacket {
  PiecedPacket(const std::vector<std::uint32_t>& sizes, std::uint32_t tailroom) : parts(sizes.size()) {
    std::uint8_t next = 0;
    Packet* last = nullptr;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const std::uint32_t room = i == 0 ? tailroom : 0;
      buffers.emplace_back(sizes[i] + room);
      Packet& part = parts[i];
      part.head = part.data = buffers.back().data();
      part.buffer_size = sizes[i] + room;
      part.len = sizes[i];
      for (std::uint32_t at = 0; at < sizes[i]; ++at) part.data[at] = next++;
      if (i != 0) append_frag(packet(), last, part);
    }
  }
  Packet& packet() { return parts[0]; }
  std::vector<std::uint8_t> bytes() {
    std::vector<std::uint8_t> all;
    for_each_piece(packet(), [&](auto piece) { all.insert(all.end(), piece.begin(), piece.end()); });
    return all;
  }
  static std::vector<std::uint8_t> count(std::size_t from, std::size_t n) {
    std::vector<std::uint8_t> numbers(n);
    std::iota(numbers.begin(), numbers.end(), static_cast<std::uint8_t>(from));
    return numbers;
  }
  std::vector<std::vector<std::uint8_t>> buffers;
  std::vector<Packet> parts;
};

TEST(PacketBytes, PiecesComeInOrder) {
  PiecedPacket cut({10, 0, 5, 7}, 0);
  EXPECT_EQ(cut.packet().len, 22u);
  EXPECT_EQ(cut.packet().data_len, 12u);
  EXPECT_EQ(cut.packet().headlen(), 10u);
  EXPECT_EQ(cut.bytes(), PiecedPacket::count(0, 22));
}

TEST(PacketBytes, CopyBitsFromEveryOffset) {
  PiecedPacket cut({4, 3, 0, 6}, 0);
  for (std::size_t offset = 0; offset <= 14; ++offset) {
    for (std::size_t n = 0; n <= 14; ++n) {
      std::vector<std::uint8_t> to(n, 0xff);
      const std::size_t there = std::min(n, 13 - std::min<std::size_t>(offset, 13));
      ASSERT_EQ(copy_bits(cut.packet(), offset, to), there) << offset << " " << n;
      to.resize(there);
      EXPECT_EQ(to, PiecedPacket::count(offset, there));
    }
  }
}

TEST(PacketBytes, PullingMovesBytesAndKeepsTheWhole) {
  for (std::uint32_t n = 0; n <= 13; ++n) {
    PiecedPacket cut({4, 3, 0, 6}, 9);
    ASSERT_TRUE(may_pull(cut.packet(), n));
    EXPECT_GE(cut.packet().headlen(), std::max(n, 4u));
    EXPECT_EQ(cut.packet().len, 13u);
    EXPECT_EQ(cut.bytes(), PiecedPacket::count(0, 13));
    EXPECT_NE(cut.packet().frags, nullptr) << "emptied frags end with the packet";
  }
}

TEST(PacketBytes, PullingMoreThanThereIsOrFitsChangesNothing) {
  PiecedPacket cut({4, 3, 6}, 5);
  EXPECT_FALSE(may_pull(cut.packet(), 14)) << "13 bytes in all";
  EXPECT_FALSE(may_pull(cut.packet(), 10)) << "room for 9";
  EXPECT_EQ(cut.packet().headlen(), 4u);
  EXPECT_EQ(cut.bytes(), PiecedPacket::count(0, 13));
  EXPECT_TRUE(may_pull(cut.packet(), 9));
}

}  // namespace
}  // namespace netrx
