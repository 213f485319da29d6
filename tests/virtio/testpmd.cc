// SPDX-License-Identifier: Apache-2.0
#include "testpmd.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

namespace netrx {

namespace {

constexpr const char* kProgram = "/usr/bin/dpdk-testpmd";

/// The first CPU that this process may use.
std::string first_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  int cpu = 0;
  while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, &set)) ++cpu;
  return std::to_string(cpu);
}

}  // namespace

bool Testpmd::installed() { return access(kProgram, X_OK) == 0; }

Testpmd::Testpmd(const Options& options) : options_(options) {
  const std::string cpu = first_cpu(), queues = std::to_string(options.queues);
  std::vector<std::string> words{
      kProgram,
      "--lcores",
      "0@" + cpu + ",1@" + cpu,
      "--no-huge",
      "--file-prefix=netrx",
      "-m",
      "256",
      "--no-pci",
      "--no-telemetry",
      "--vdev",
      options.driver.empty()
          ? "net_vhost0,iface=" + socket() + ",queues=" + queues + (options.client ? ",client=1" : "")
          : "net_virtio_user0,path=" + socket() + ",queues=" + queues + "," + options.driver,
      "--",
      "--nb-cores=1",
      "--total-num-mbufs=8192",
      "--stats-period=1",
      "--no-flush-rx",
      "--rxq=" + queues,
      "--txq=" + queues,
      "--forward-mode=" + options.forward};
  words.insert(words.end(), options.more.begin(), options.more.end());
  const std::string output = options.folder + "/output";
  std::string runtime = "RUNTIME_DIRECTORY=" + options.folder;  // its own files go with the folder
  std::array<char*, 2> environment{runtime.data(), nullptr};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_ = fork();  // from here on the child does nothing that needs a lock
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int in = open("/dev/null", O_RDONLY), out = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
  execve(kProgram, argv.data(), environment.data());
  _exit(127);
}

Testpmd::~Testpmd() { kill(); }

bool Testpmd::wait_for_end(int milliseconds) {
  for (; milliseconds > 0; milliseconds -= 10) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

std::string Testpmd::stop() {
  if (pid_ < 0) return {};
  ::kill(pid_, SIGINT);
  if (!wait_for_end(30'000)) {
    kill();
    return {};
  }
  std::ifstream file(options_.folder + "/output");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void Testpmd::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

std::uint64_t last_number(const std::string& output, const std::string& name) {
  const std::size_t at = output.rfind(name + ":");
  if (at == std::string::npos) return ~std::uint64_t{0};
  return std::strtoull(output.c_str() + at + name.size() + 1, nullptr, 10);
}

}  // namespace netrx
