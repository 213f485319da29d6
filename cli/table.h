// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace netrx::cli {

/// Columns a terminal needs for UTF-8 text without wide or combining characters.
std::size_t columns(std::string_view text);

/// The part of a text that fits.
std::string first_columns(std::string_view text, std::size_t n);

/// "████▌   ": part / whole of `width` columns, in eighths.
std::string bar(std::uint64_t part, std::uint64_t whole, std::size_t width);

/// Rows of texts as aligned columns, numbers to the right. The first row is the heading.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> heading, std::string left_columns = {});
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// Each line with two spaces in front.
  std::string text() const;

 private:
  bool left(std::size_t column) const { return column < left_.size() && left_[column] == 'l'; }

  const std::string left_;  ///< an 'l' for each column, from the left, that is aligned to the left
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace netrx::cli
