// SPDX-License-Identifier: Apache-2.0
#pragma once

// Ownership rules the compiler checks. clang's thread-safety analysis reads these attributes; g++ sees empty macros.
//
//   struct SoftnetData {
//     Cpu cpu;
//     bool in_net_rx_action NETRX_GUARDED_BY(cpu) = false;   // "local": only whoever occupies this Cpu
//   };
//   void net_rx_action(Softnet&, SoftnetData& sd) NETRX_REQUIRES(sd.cpu);
//
// A function that touches another CPU's local field does not build with the `clang` preset.

#if defined(__clang__)
#define NETRX_ATTRIBUTE(x) __attribute__((x))
#else
#define NETRX_ATTRIBUTE(x)
#endif

#define NETRX_CAPABILITY(name) NETRX_ATTRIBUTE(capability(name))
#define NETRX_SCOPED_CAPABILITY NETRX_ATTRIBUTE(scoped_lockable)
#define NETRX_GUARDED_BY(x) NETRX_ATTRIBUTE(guarded_by(x))
#define NETRX_REQUIRES(...) NETRX_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define NETRX_EXCLUDES(...) NETRX_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define NETRX_ACQUIRE(...) NETRX_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define NETRX_TRY_ACQUIRE(...) NETRX_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define NETRX_RELEASE(...) NETRX_ATTRIBUTE(release_capability(__VA_ARGS__))
#define NETRX_ASSERT_CAPABILITY(x) NETRX_ATTRIBUTE(assert_capability(x))
#define NETRX_RETURN_CAPABILITY(x) NETRX_ATTRIBUTE(lock_returned(x))
#define NETRX_NO_THREAD_SAFETY_ANALYSIS NETRX_ATTRIBUTE(no_thread_safety_analysis)
