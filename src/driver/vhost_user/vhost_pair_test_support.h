// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "driver/wrapped_device.h"
#include "netrx/devices.h"
#include "netrx/vhost_device.h"

namespace netrx {

/// A folder for sockets that goes with its owner.
class SocketFolder {
 public:
  SocketFolder() {
    std::string name = std::filesystem::temp_directory_path() / "netrx_vhost_XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~SocketFolder() { std::filesystem::remove_all(path_); }
  SocketFolder(const SocketFolder&) = delete;
  SocketFolder& operator=(const SocketFolder&) = delete;
  std::string socket() const { return path_ + "/s"; }

 private:
  std::string path_;
};

/// A device model that serves on a thread of its own.
class ServedDevice {
 public:
  ServedDevice(const VhostDeviceOptions& options, const std::string& source) {
    auto device = VhostDevice::create(options, open_device(source).value());
    EXPECT_TRUE(device) << (device ? "" : device.error().text);
    device_ = std::move(*device);
    thread_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested() && device_->step(std::chrono::milliseconds(10))) {
      }
      if (!stop.stop_requested()) device_.reset();  // played to the end: it goes, as the command does
    });
  }
  /// It dies, whatever it was doing.
  VhostDeviceStats kill() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    const VhostDeviceStats last = device_ != nullptr ? device_->stats() : VhostDeviceStats{};
    device_.reset();
    return last;
  }
  ~ServedDevice() { kill(); }
  ServedDevice(const ServedDevice&) = delete;
  ServedDevice& operator=(const ServedDevice&) = delete;

 private:
  std::unique_ptr<VhostDevice> device_;
  std::jthread thread_;
};

/// The driver's device, with the device model behind it.
class PairedDevice final : public WrappedDevice {
 public:
  PairedDevice(std::unique_ptr<SocketFolder> folder, std::unique_ptr<ServedDevice> served,
               std::unique_ptr<NetDevice> driver)
      : WrappedDevice(std::move(driver)), folder_(std::move(folder)), served_(std::move(served)) {
    for (std::size_t i = 0; i < inner_->queue_count(); ++i)
      queues_.push_back(std::make_unique<WrappedQueue>(inner_->queue(i)));
  }

 private:
  std::unique_ptr<SocketFolder> folder_;
  std::unique_ptr<ServedDevice> served_;
};

inline Result<std::unique_ptr<NetDevice>> open_pair(const std::string& source, std::size_t queues,
                                                    const std::string& keys) {
  auto folder = std::make_unique<SocketFolder>();
  auto served =
      std::make_unique<ServedDevice>(VhostDeviceOptions{.socket = folder->socket(), .queues = queues}, source);
  auto driver = open_device("vhost-user:" + folder->socket() + ",wait=5s,reconnect=off" + keys);
  if (!driver) return driver;
  return std::make_unique<PairedDevice>(std::move(folder), std::move(served), std::move(*driver));
}

}  // namespace netrx
