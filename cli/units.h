// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "netrx/error.h"
#include "netrx/time.h"

/// Numbers as people write and read them.
namespace netrx::cli {

/// A duration with its unit: "50ms", "1.5s", "200us", "800ns", "2m". EINVAL without one; ERANGE beyond a day.
Result<Nanos> parse_duration(std::string_view text);

/// A whole number, k, M and G as decimal multiples: "8192", "10k". EINVAL, or ERANGE outside [low, high].
Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t low, std::uint64_t high);

/// "1,234,567".
std::string grouped(std::uint64_t number);

/// Three digits and a unit: "850 ns", "1.23 µs", "45.6 ms".
std::string short_duration(std::uint64_t nanoseconds);

/// Three digits and a multiple: "987", "12.3 k", "1.23 M".
std::string short_number(double number);

/// "23.4 %"; "-" when nothing is the whole.
std::string percent(std::uint64_t part, std::uint64_t whole);

/// "EINVAL: Invalid argument".
std::string errno_text(int code);

/// The error's text, with the errno's name and words behind it where it does not say them itself.
std::string full_text(const Error& error);

/// The word of `known` that was probably meant by `word`; empty when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace netrx::cli
