// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "harness.h"

namespace netrx::bench {

const char* name(Unit unit);

/// The table, line by line as rows come.
void print_head();
void print_row(const Row& row);

/// One JSON object a row, in one array, a row a line. False, with errno, when the file can't be written.
bool write_json(const std::string& path, std::span<const Row> rows);

}  // namespace netrx::bench
