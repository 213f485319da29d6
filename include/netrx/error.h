// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <utility>

namespace netrx {

/// Why a set-up or control call was refused: the errno the kernel gives for the same request, and one line
/// that names the key, the value and the remedy. The data path never makes one.
struct Error {
  int code = 0;      ///< a positive errno value
  std::string text;  ///< one line, no final newline
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(int code, std::string text) { return std::unexpected(Error{code, std::move(text)}); }

}  // namespace netrx
