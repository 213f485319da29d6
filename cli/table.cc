// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <algorithm>

namespace netrx::cli {

namespace {

constexpr bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

}  // namespace

std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

std::string first_columns(std::string_view text, std::size_t n) {
  std::size_t seen = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (begins_character(text[i]) && seen++ == n) return std::string(text.substr(0, i));
  return std::string(text);
}

std::string bar(std::uint64_t part, std::uint64_t whole, std::size_t width) {
  constexpr std::string_view kEighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const std::uint64_t eighths = whole == 0 ? 0 : std::min(part, whole) * width * 8 / whole;
  std::string text;
  for (std::uint64_t i = 0; i < width; ++i) {
    if (i < eighths / 8)
      text += "█";
    else
      text += i == eighths / 8 ? kEighths[eighths % 8] : " ";
  }
  return text;
}

TextTable::TextTable(std::vector<std::string> heading, std::string left_columns)
    : left_(std::move(left_columns)), rows_{std::move(heading)} {}

std::string TextTable::text() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(row[i]));
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - columns(row[i]), ' ');
      line += "  " + (left(i) ? row[i] + padding : padding + row[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace netrx::cli
