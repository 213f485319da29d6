// SPDX-License-Identifier: Apache-2.0
#include "peers.h"

// Stands in where DPDK is not installed; start() says so, and nobody goes on.
namespace netrx::bench::peers {

const char* start() { return "built without DPDK (Debian: libdpdk-dev, dpdk-dev)"; }
const char* version() { return "none"; }

Toeplitz::Toeplitz(const std::uint8_t*, const std::uint8_t*, std::size_t, std::size_t) : state_(nullptr) {}
Toeplitz::~Toeplitz() = default;
void Toeplitz::hash(std::uint32_t*) const {}

const char* Toeplitz::missing() { return start(); }

Gro::Gro(const FrameList&) : state_(nullptr) {}
Gro::~Gro() = default;
void Gro::reset() {}
std::uint64_t Gro::reassemble(unsigned) { return 0; }

Dissector::Dissector(const FrameList&) : state_(nullptr) {}
Dissector::~Dissector() = default;
std::uint64_t Dissector::dissect() const { return 0; }

Ring::Ring(std::uint32_t) : state_(nullptr) {}
Ring::~Ring() = default;
void Ring::produce(void* const*, std::size_t, std::uint64_t) {}
std::uint64_t Ring::consume(std::uint64_t, const void*) { return 0; }

Distributor::Distributor(const FrameList&) : state_(nullptr) {}
Distributor::~Distributor() = default;
void Distributor::produce(std::uint64_t) {}
std::uint64_t Distributor::consume(std::uint64_t, std::uint32_t) { return 0; }

}  // namespace netrx::bench::peers
