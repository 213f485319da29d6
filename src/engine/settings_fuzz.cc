// SPDX-License-Identifier: Apache-2.0
// Input: up to 20 lines of "<path> <text>", a newline in the text written as "|". Each is written to one engine that
// has one queue. A path "@17" is the 17th there is, counted from 0 and around.

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "engine/settings.h"
#include "engine/settings_test_support.h"

namespace {

using namespace netrx;

void require(bool condition) {
  if (!condition) std::abort();
}

/// Tables of more than some thousand entries are the tests' business: here they would cost memory and time.
bool asks_for_much(std::string_view path, std::string_view text) {
  if (path.find("flow") == std::string_view::npos) return false;
  std::size_t run = 0;
  for (const char c : text) {
    const bool digit = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
    run = digit ? run + 1 : 0;
    if (run > 4) return true;
  }
  return false;
}

std::string named_path(const EngineCore& core, std::string_view path) {
  if (!path.starts_with('@')) return std::string(path);
  const std::vector<std::string> all = list_settings(core);
  std::size_t index = 0;
  std::from_chars(path.data() + 1, path.data() + path.size(), index);
  return all[index % all.size()];
}

void check_line(EngineCore& core, std::string_view line) {
  const std::size_t space = std::min(line.find(' '), line.size());
  const std::string path = named_path(core, line.substr(0, space));
  std::string text(line.substr(std::min(space + 1, line.size())));
  std::ranges::replace(text, '|', '\n');
  if (asks_for_much(path, text)) return;

  const Result<std::string> before = read_setting(core, path);
  const Result<void> written = write_setting(core, path, text);
  const Result<std::string> after = read_setting(core, path);
  require(before.has_value() == after.has_value());
  if (!written) {
    require(written.error().code > 0);
    require(written.error().text.find('\n') == std::string::npos);
    const bool may_be_partial = written.error().code == ENOMEM;
    require(!before || may_be_partial || *before == *after);
    return;
  }
  require(after && after->ends_with('\n'));
  require(write_setting(core, path, *after).has_value());
  require(*read_setting(core, path) == *after);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto engine = Engine::create({.cpus = {0, 1, 35}, .pool_packets = 64});
  require(engine.has_value());
  require((*engine)->attach(std::make_unique<SilentDevice>("eth0", 1)).has_value());
  EngineCore& core = (*engine)->core();
  const std::string input(data, data + size);
  std::string_view rest = input;
  for (int lines = 0; !rest.empty() && lines < 20; ++lines) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    check_line(core, rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  int needed = core.net.rps_sock_flow_table.read() != nullptr;
  needed += core.find("eth0")->rx_queues[0]->rps_map.read() != nullptr;
  require(core.net.rps_needed.load() == needed);
  require(!core.online_cpus().empty());
  return 0;
}
