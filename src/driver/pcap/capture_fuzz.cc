// SPDX-License-Identifier: Apache-2.0
// Any bytes as a capture file: read, spread over queues and received, or refused in one line.

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "base/fuzz_input.h"
#include "driver/pcap/capture.h"
#include "driver/pcap/pcap_device.h"

namespace {

using namespace netrx;

/// Plays the capture through small pool buffers; every frame is received or counted.
void play(NetDevice& device, std::uint64_t frames) {
  const auto pool = PacketPool::create(0, 64, 128).value();
  std::uint64_t received = 0, lost = 0;
  for (std::size_t i = 0; i < device.queue_count(); ++i) {
    RxQueue& queue = device.queue(i);
    for (Nanos now{1}; !queue.exhausted(); now += std::chrono::milliseconds(1)) {
      PacketBatch batch;
      PollContext context{now, *pool};
      received += queue.poll(context, batch, 64);
      for (Packet* packet : batch) {
        fuzz_check(packet->headroom() + packet->len <= packet->buffer_size, "a frame outside its buffer");
        if (packet->frame_home != nullptr) packet->frame_home->frames_home({&packet->frame_id, 1});
      }
      pool->put(batch.packets());
      batch.released();
    }
    lost += queue.stats().rx_length_errors;
  }
  fuzz_check(received + lost == frames, "frames are missing");
  fuzz_check(pool->idle() == pool->capacity(), "packets are missing");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::FILE* file = fmemopen(const_cast<std::uint8_t*>(data), size, "rb");
  auto capture = read_capture(File(file), "fuzz", {.memory_limit = 64u << 20});
  if (!capture) {
    fuzz_check(capture.error().code > 0 && !capture.error().text.empty(), "an error without a reason");
    return 0;
  }
  const std::uint64_t frames = capture->frames.size();
  for (const CapturedFrame& frame : capture->frames) fuzz_check(frame.time >= Nanos{0}, "a time before the first");
  PcapOptions options;
  options.queue.queues = 3;
  options.queue.rxhash = true;
  const auto device = make_pcap_device(std::move(*capture), options, "fuzz");
  play(*device, frames);
  fuzz_check(device->remark().find('\n') == std::string::npos, "a remark of several lines");
  return 0;
}
