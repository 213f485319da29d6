// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace netrx {

/// What stands in the way of attaching an XDP program to the interface, and what to do about it, for an error line.
/// `replace`: to take the place of what is there was tried already.
std::string explain_xdp_holder(const std::string& interface, bool replace);

}  // namespace netrx
