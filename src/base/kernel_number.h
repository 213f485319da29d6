// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "netrx/error.h"

namespace netrx {

// Numbers and switches as the kernel reads them from files in /proc/sys and /sys: which spelling is accepted differs
// between the two, and scripts depend on it. Errors have the form of refuse().

/// The character set that the kernel's parsers skip or split at, which knows no locale: ASCII white space and 0xa0.
/// Kernel: isspace.
bool is_kernel_space(char c);

/// The integer at the start of a text for /proc/sys: white space, '-', decimal, 0x hex or 0 octal digits, at most 20
/// characters, then the end or a blank; what follows the blank is not read. EINVAL: anything else, and what does not
/// fit into an int. Kernel: kernel/sysctl.c:proc_dointvec with one value.
Result<int> parse_sysctl_int(std::string_view text);

/// The whole of a text for /sys: '+', decimal, 0x hex or 0 octal digits, and one newline, each but the digits
/// optional. EINVAL: anything else; ERANGE: 2^64 or more. A NUL ends the text. Kernel: lib/kstrtox.c:kstrtoul with base
/// 0.
Result<std::uint64_t> parse_sysfs_ulong(std::string_view text);

/// A switch: 1, y, t, on; 0, n, f, off, of which the first letter counts (two of "on" and "off"), in any case. EINVAL.
/// Kernel: lib/kstrtox.c:kstrtobool.
Result<bool> parse_sysfs_bool(std::string_view text);

}  // namespace netrx
