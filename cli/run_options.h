// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "netrx/error.h"
#include "netrx/executor.h"
#include "netrx/gro.h"
#include "netrx/time.h"

namespace netrx::cli {

enum class ProgressMode : std::uint8_t { automatic, on, off };

/// A text for a setting of the engine, and where the user wrote it.
struct Assignment {
  std::string key;
  std::string text;
  std::string origin;  ///< "--rps-cpus 3", "demo.toml:4: rps-cpus = 3"
};

/// What the threads that play the applications do.
struct AppOptions {
  std::uint32_t threads = 0;  ///< 0: packets are counted where they are delivered
  Nanos migrate{0};           ///< each moves to the next CPU this often; 0: never
  std::uint32_t capacity = 4096;
  std::uint64_t rate = 0;  ///< packets a second each takes; 0: all it can
  bool stall = false;      ///< takes none
};

/// Everything `netrx run` can be told.
struct RunOptions {
  std::vector<std::string> devices;
  std::vector<std::string> sinks;       ///< "SPEC", "DEVICE", each with "FROM=" in front or not
  std::vector<std::uint16_t> cpus;      ///< empty: all this process may use
  std::vector<std::uint16_t> irq_cpus;  ///< empty: the engine's choice
  std::vector<Assignment> kernel;       ///< settings by their kernel name
  std::vector<Assignment> set;          ///< settings by their path
  std::vector<GroEndpoint> gro_endpoints;
  std::uint64_t pool_packets = 8192;
  std::uint64_t frame_size = 2048;
  IdlePolicy idle = IdlePolicy::adaptive;
  Nanos spin = std::chrono::microseconds(50);
  std::optional<Nanos> duration;
  AppOptions app;
  std::uint64_t order_flows = 131'072;  ///< flows whose order is checked; 0: none
  std::string json;                     ///< "-": stdout; empty: none
  bool softnet_stat = false;
  bool gro_reasons = false;
  bool list_settings = false;
  bool quiet = false;
  ProgressMode progress = ProgressMode::automatic;
};

/// Where a setting with a kernel name lives.
enum class Scope : std::uint8_t {
  core,    ///< /proc/sys/net/core/NAME
  own,     ///< /proc/sys/net/netrx/NAME: not the kernel's
  device,  ///< /sys/class/net/DEVICE/NAME, of every device
  queue,   ///< /sys/class/net/DEVICE/queues/rx-N/NAME, of every queue of every device
};
struct KernelSetting {
  std::string_view name;  ///< the kernel's
  Scope scope;
};
/// In the order in which they are written.
std::span<const KernelSetting> kernel_settings();

/// One option of `netrx run`: --name on the command line, name in a TOML file.
struct OptionSpec {
  std::string_view name;
  std::string_view value;  ///< what stands behind it; empty: a switch
  std::string_view help;
  /// Takes the text in; the error says what a right value looks like. Null: a setting with a kernel name.
  Result<void> (*apply)(RunOptions& options, std::string_view text) = nullptr;
  bool repeatable = false;
};
struct OptionGroup {
  std::string_view title;
  std::span<const OptionSpec> options;
};
std::span<const OptionGroup> run_option_groups();

const OptionSpec* find_option(std::string_view name);
std::vector<std::string> option_names();

/// An option as the user gave it.
struct GivenOption {
  const OptionSpec* spec;
  std::string text;
  std::string origin;
};

/// Turns what was given into options. The error's text begins with the origin.
Result<RunOptions> make_run_options(const std::vector<GivenOption>& given);

}  // namespace netrx::cli
