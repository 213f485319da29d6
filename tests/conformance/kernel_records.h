// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the test and its programs in the kernel (kernel.bpf.c) tell each other. Plain C.
#include <linux/types.h>

enum {
  NETRX_MAX_ARRIVALS = 63,
  NETRX_MAX_ROUNDS = 64,
  NETRX_MAX_FRAME = 9216,
  NETRX_MAX_SEEN_BYTES = 60000,
  NETRX_LINK_HEADER = 14
};

/// A frame to inject.
struct arrival_record {
  __u32 len;
  __u32 hash;        ///< that the device gives; 0: none
  __u32 vlan_proto;  ///< big-endian; 0: no tag beside the frame
  __u32 vlan_tci;
  __u8 bytes[NETRX_MAX_FRAME];
};

/// What to do and whom to watch.
struct control_record {
  __u32 arrivals;     ///< frames that one run of inject() sends
  __u32 rounds;       ///< how often
  __u32 out_ifindex;  ///< through this device
  __u32 netns;        ///< inode of the network namespace and
  __u32 ifindex;      ///< index of the device whose packets are reported
  __u32 failures;     ///< frames that could not be sent
};

/// A packet that the kernel's stack was handed. Its bytes follow, from the network header on, and then maybe padding.
struct seen_record {
  __u32 cpu;
  __u32 len;
  __u32 hash;
  __u32 l4_hash;
  __u32 sw_hash;
  __u32 protocol;    ///< big-endian
  __u32 vlan_proto;  ///< big-endian; 0: none
  __u32 vlan_tci;
  __u32 ip_summed;
  __u32 csum_level;
  __u32 csum_start;  ///< from the network header
  __u32 csum_offset;
  __u32 gso_size;
  __u32 gso_segs;
  __u32 gso_type;
  __u32 encapsulation;
  __u32 inner_network;    ///< from the network header
  __u32 inner_transport;  ///< from the network header; 0: not noted
  __u8 link_header[16];   ///< NETRX_LINK_HEADER bytes
};
