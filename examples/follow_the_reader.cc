// SPDX-License-Identifier: Apache-2.0
//
// One receive queue, two CPUs, one application thread that moves between them: RFS takes the packets to it.
//
// This is the shape of a program that embeds netrx: a device in, settings under their kernel names, a consumer that a
// thread reads, and the thread saying where it runs.
#include <cstdio>
#include <thread>

#include "netrx/consumer.h"
#include "netrx/devices.h"
#include "netrx/engine.h"
#include "netrx/ethertype.h"
#include "netrx/executor.h"

using namespace netrx;

namespace {

/// Ends the program with the error's one line if there is an error.
template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().text.c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace

int main() {
  const std::unique_ptr<Engine> engine = must(Engine::create({.cpus = {0, 1}}));
  must(engine->attach(must(open_device("gen:flows=64,count=200000,rate=400k"))));
  must(engine->write("/sys/class/net/gen0/queues/rx-0/rps_cpus", "3"));
  must(engine->write("/sys/class/net/gen0/queues/rx-0/rps_flow_cnt", "1024"));
  must(engine->write("net.core.rps_sock_flow_entries", "4096"));

  Consumer packets_for_me(4096);
  FlowFanout all_flows({&packets_for_me});
  must(engine->add_handler(kEthPAll, all_flows));

  ThreadExecutor threads(*engine, {});
  must(threads.start());

  const std::unique_ptr<Application> me = engine->open_application();
  std::uint64_t read = 0;
  while (!engine->drained() || packets_for_me.waiting() != 0) {
    packets_for_me.wait(std::chrono::milliseconds(10));
    PacketBatch batch;
    read += packets_for_me.receive(batch);
    const std::uint16_t my_cpu = read < 100000 ? 0 : 1;  // a real program asks sched_getcpu()
    me->record_flows(batch.packets(), my_cpu);
    me->free_packets(batch);
  }
  threads.stop();

  const EngineStats stats = engine->stats();
  std::printf("read %llu of %llu packets\n", static_cast<unsigned long long>(read),
              static_cast<unsigned long long>(stats.conservation.received));
  for (const CpuStats& cpu : stats.cpus)
    std::printf("cpu %u: %llu packets handed up, flows moved to their reader %llu times\n", cpu.cpu,
                static_cast<unsigned long long>(cpu.delivered),
                static_cast<unsigned long long>(cpu.rules[static_cast<std::size_t>(RpsRule::kSwitchedToConsumer)]));
  return stats.conservation.holds() && read == stats.conservation.delivered ? 0 : 1;
}
