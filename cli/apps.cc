// SPDX-License-Identifier: Apache-2.0
#include "apps.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

#include "host_cpus.h"
#include "inlet.h"

namespace netrx::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr Nanos kNap = std::chrono::milliseconds(20);

void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace

struct Apps::App {
  App(std::uint32_t i, std::uint32_t capacity, std::unique_ptr<Application> side)
      : index(i), consumer(capacity), application(std::move(side)) {}

  const std::uint32_t index;
  Consumer consumer;
  std::unique_ptr<Application> application;
  std::thread thread;
  std::atomic<std::uint16_t> cpu{0};
  // Written by its thread, read by anyone.
  std::atomic<std::uint64_t> received{0};
  std::atomic<std::uint64_t> on_its_cpu{0};
  std::atomic<std::uint64_t> moves{0};
  std::uint64_t left = 0;  ///< by stop()
  mutable std::mutex trouble_mutex;
  std::string trouble;

  void move_to(std::uint16_t where) {
    if (const auto pinned = pin_to(where); !pinned) {
      const std::lock_guard lock(trouble_mutex);
      trouble = "application " + std::to_string(index) + ": " + pinned.error().text;
      return;
    }
    cpu.store(where, std::memory_order_relaxed);
  }
};

Apps::Apps(Engine& engine, FlowTable& flows, const AppOptions& options, std::vector<std::uint16_t> cpus)
    : flows_(flows), options_(options), cpus_(std::move(cpus)) {
  std::vector<Consumer*> consumers;
  for (std::uint32_t i = 0; i < options.threads; ++i) {
    apps_.push_back(std::make_unique<App>(i, options.capacity, engine.open_application()));
    apps_.back()->cpu.store(cpus_[i % cpus_.size()]);
    consumers.push_back(&apps_.back()->consumer);
  }
  fanout_ = std::make_unique<FlowFanout>(std::move(consumers));
}

Apps::~Apps() { stop(); }

void Apps::start() {
  for (const auto& app : apps_) app->thread = std::thread([this, &me = *app] { run(me); });
}

void Apps::run(App& app) {
  std::size_t place = app.index % cpus_.size();
  app.move_to(cpus_[place]);
  const Clock::time_point began = Clock::now();
  Clock::time_point next_move = options_.migrate > Nanos{0} ? began + options_.migrate : Clock::time_point::max();
  while (!stopping_.load(std::memory_order_relaxed)) {
    const Clock::time_point now = Clock::now();
    if (now >= next_move) {
      place = (place + 1) % cpus_.size();
      app.move_to(cpus_[place]);
      add(app.moves, 1);
      next_move += options_.migrate * ((now - next_move) / options_.migrate + 1);
    }
    const Nanos nap = std::min<Nanos>(kNap, next_move - now);
    if (options_.stall) {
      std::this_thread::sleep_for(nap);
      continue;
    }
    PacketBatch batch;
    if (app.consumer.receive(batch) == 0) {
      app.consumer.wait(nap);
      continue;
    }
    take(app, batch);
    if (options_.rate == 0) continue;
    const double due =
        static_cast<double>(app.received.load(std::memory_order_relaxed)) / static_cast<double>(options_.rate);
    const Clock::time_point then = began + std::chrono::duration_cast<Nanos>(std::chrono::duration<double>(due));
    while (Clock::now() < then && !stopping_.load(std::memory_order_relaxed))
      std::this_thread::sleep_until(std::min(then, Clock::now() + kNap));
  }
}

void Apps::take(App& app, PacketBatch& batch) {
  const std::uint16_t cpu = app.cpu.load(std::memory_order_relaxed);
  app.application->record_flows(batch.packets(), cpu);
  std::uint64_t here = 0;
  for (const Packet* packet : batch.packets()) {
    here += Inlet::cpu_of(*packet) == cpu;
    if (flows_.enabled()) flows_.consumed(Inlet::slot_of(*packet), *packet);
  }
  add(app.on_its_cpu, here);
  add(app.received, batch.size());
  app.application->free_packets(batch);
}

bool Apps::drained() const { return options_.stall || waiting() == 0; }

std::uint64_t Apps::waiting() const {
  std::uint64_t sum = 0;
  for (const auto& app : apps_) sum += app->consumer.waiting();
  return sum;
}

std::uint64_t Apps::received() const {
  std::uint64_t sum = 0;
  for (const auto& app : apps_) sum += app->received.load(std::memory_order_relaxed);
  return sum;
}

void Apps::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  for (const auto& app : apps_) {
    app->consumer.wake();
    if (app->thread.joinable()) app->thread.join();
    PacketBatch batch;
    while (app->consumer.receive(batch) != 0) {
      app->left += batch.size();
      app->application->free_packets(batch);
    }
  }
}

std::vector<AppStats> Apps::stats() const {
  std::vector<AppStats> all;
  all.reserve(apps_.size());
  for (const auto& app : apps_)
    all.push_back(
        {app->index, app->cpu.load(), app->received.load(), app->on_its_cpu.load(), app->moves.load(), app->left});
  return all;
}

std::string Apps::trouble() const {
  for (const auto& app : apps_) {
    const std::lock_guard lock(app->trouble_mutex);
    if (!app->trouble.empty()) return app->trouble;
  }
  return {};
}

}  // namespace netrx::cli
