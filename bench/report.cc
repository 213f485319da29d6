// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <cinttypes>
#include <cstdio>
#include <memory>

namespace netrx::bench {

const char* name(Unit unit) { return unit == Unit::ns ? "ns" : "M/s"; }

void print_head() {
  std::printf("%-34s %-6s %9s %9s %-4s %7s %15s %7s %5s  %s\n", "case", "where", "ours", "peer", "unit", "ratio",
              "quartiles", "target", "runs", "checksum");
}

void print_row(const Row& row) {
  char peer[16] = "-", ratio[16] = "-", spread[32] = "-", target[16] = "-";
  if (row.peer > 0) {
    std::snprintf(peer, sizeof peer, "%.2f", row.peer);
    std::snprintf(ratio, sizeof ratio, "%.2f", row.ratio);
    std::snprintf(spread, sizeof spread, "%.2f..%.2f", row.spread_low, row.spread_high);
  }
  if (row.target > 0) std::snprintf(target, sizeof target, "%.2f", row.target);
  const char* verdict = row.peer > 0 && row.target > 0 && row.ratio < row.target ? "  below target" : "";
  std::printf("%-34s %-6s %9.2f %9s %-4s %7s %15s %7s %5zu  %016" PRIx64 "%s%s\n", row.name.c_str(),
              name(row.placement), row.ours, peer, name(row.unit), ratio, spread, target, row.runs, row.checksum,
              row.same_work ? "" : " DIFFERS", verdict);
  std::fflush(stdout);
}

namespace {

/// A number, or null where there is none.
std::string number(double value) {
  if (value <= 0) return "null";
  char text[32];
  std::snprintf(text, sizeof text, "%.4f", value);
  return text;
}

std::string object(const Row& row) {
  char checksum[24];
  std::snprintf(checksum, sizeof checksum, "%016" PRIx64, row.checksum);
  return "{\"name\": \"" + row.name + "\", \"ours\": " + number(row.ours) + ", \"peer\": " + number(row.peer) +
         ", \"unit\": \"" + name(row.unit) + "\", \"ratio\": " + number(row.ratio) +
         ", \"target\": " + number(row.target) + ", \"spread\": [" + number(row.spread_low) + ", " +
         number(row.spread_high) + "], \"runs\": " + std::to_string(row.runs) + ", \"placement\": \"" +
         name(row.placement) + "\", \"checksum\": \"" + checksum + "\"}";
}

}  // namespace

bool write_json(const std::string& path, std::span<const Row> rows) {
  std::string text = "[\n";
  for (std::size_t i = 0; i < rows.size(); ++i) text += object(rows[i]) + (i + 1 < rows.size() ? ",\n" : "\n");
  text += "]\n";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "w"), std::fclose);
  return file != nullptr && std::fwrite(text.data(), 1, text.size(), file.get()) == text.size() &&
         std::fflush(file.get()) == 0;
}

}  // namespace netrx::bench
