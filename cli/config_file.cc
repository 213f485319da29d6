// SPDX-License-Identifier: Apache-2.0
#include "config_file.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <cerrno>
#include <fstream>
#include <map>
#include <sstream>

#include "units.h"

namespace netrx::cli {

namespace {

/// Why a file can't be read; a directory opens like a file, and only then fails.
Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (file && file.peek() != std::ifstream::traits_type::eof()) text << file.rdbuf();
  if (!file.is_open() || file.bad()) {
    const int code = errno != 0 ? errno : EIO;
    return fail(code, fmt::format("--config {}: can't be read ({})", path, errno_text(code)));
  }
  return text.str();
}

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {}

  Result<std::vector<GivenOption>> read(const toml::table& table) {
    for (const auto& [key, node] : table) {
      const OptionSpec* spec = find_option(key.str());
      const Result<void> taken = spec == nullptr ? unknown(key) : take(*spec, node);
      if (!taken) return std::unexpected(taken.error());
    }
    std::vector<GivenOption> options;
    for (auto& [line, option] : given_) options.push_back(std::move(option));
    return options;
  }

 private:
  std::string at(const toml::source_region& source) const { return fmt::format("{}:{}", path_, source.begin.line); }

  std::unexpected<Error> unknown(const toml::key& key) const {
    const std::string guess = nearest(key.str(), option_names());
    return fail(EINVAL,
                fmt::format("{}: unknown key {}{} (EINVAL: Invalid argument)", at(key.source()), key.str(),
                            guess.empty() ? "; `netrx run --help` lists them" : "; did you mean " + guess + "?"));
  }

  Result<void> take(const OptionSpec& spec, const toml::node& node) {
    if (const toml::array* array = node.as_array(); array != nullptr && spec.repeatable) {
      for (const toml::node& element : *array)
        if (const auto ok = add(spec, element); !ok) return ok;
      return {};
    }
    if (const toml::table* table = node.as_table(); table != nullptr && spec.name == "set")
      return take_set(spec, *table);
    return add(spec, node);
  }

  Result<void> take_set(const OptionSpec& spec, const toml::table& table) {
    for (const auto& [path, node] : table) {
      std::string text;
      if (!text_of(node, text)) return bad_type(spec, node);
      push(spec, fmt::format("{}={}", path.str(), text), node);
    }
    return {};
  }

  Result<void> add(const OptionSpec& spec, const toml::node& node) {
    std::string text;
    if (!text_of(node, text) || (spec.value.empty() && !node.is_boolean())) return bad_type(spec, node);
    push(spec, text, node);
    return {};
  }

  /// Any plain value as the command line would have it.
  static bool text_of(const toml::node& node, std::string& text) {
    if (const auto string = node.value_exact<std::string>())
      text = *string;
    else if (const auto integer = node.value_exact<std::int64_t>())
      text = std::to_string(*integer);
    else if (const auto number = node.value_exact<double>())
      text = fmt::format("{}", *number);
    else if (const auto boolean = node.value_exact<bool>())
      text = *boolean ? "on" : "off";
    else
      return false;
    return true;
  }

  std::unexpected<Error> bad_type(const OptionSpec& spec, const toml::node& node) const {
    const std::string_view wanted = spec.value.empty() ? "true or false"
                                    : spec.repeatable  ? "a text or a list"
                                                       : "one value";
    return fail(EINVAL,
                fmt::format("{}: {} takes {} (EINVAL: Invalid argument)", at(node.source()), spec.name, wanted));
  }

  void push(const OptionSpec& spec, const std::string& text, const toml::node& node) {
    const std::string origin = fmt::format("{}: {} = {}", at(node.source()), spec.name, text);
    given_.emplace(node.source().begin.line, GivenOption{&spec, text, origin});
  }

  const std::string& path_;
  std::multimap<std::size_t, GivenOption> given_;  ///< by line: toml++ sorts by key, people read from top to bottom
};

}  // namespace

Result<std::vector<GivenOption>> read_config_file(const std::string& path) {
  errno = 0;
  const Result<std::string> text = read_file(path);
  if (!text) return std::unexpected(text.error());
  try {
    return Reader(path).read(toml::parse(*text, path));
  } catch (const toml::parse_error& error) {
    return fail(EINVAL, fmt::format("{}:{}: not TOML: {} (EINVAL: Invalid argument)", path, error.source().begin.line,
                                    error.description()));
  }
}

}  // namespace netrx::cli
