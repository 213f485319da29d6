// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "netrx/error.h"

namespace netrx {

/// The symbol of an errno value, "EINVAL"; "E?" for one that netrx never gives.
std::string_view errno_name(int code);

/// A value as error texts show it: in double quotes, without its final newline, unprintable bytes as \xNN, and cut
/// after 60 characters. Always one line.
std::string in_quotes(std::string_view value);

/// The one form of a refused value: `"1f": EOVERFLOW: CPU 4 does not exist, ...`. Callers put the key in front.
std::unexpected<Error> refuse(std::string_view value, int code, std::string_view reason);

}  // namespace netrx
