// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The kernel's side of the conformance tests. The kernel lets only programs under the GPL look at its packets, so this
// one file may be had under it too.
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "kernel_records.h"

char programs_license[] SEC("license") = "GPL";

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, NETRX_MAX_ARRIVALS);
  __type(key, __u32);
  __type(value, struct arrival_record);
} arrivals SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct control_record);
} control SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(__u32));
} seen SEC(".maps");

static struct control_record *the_control(void) {
  __u32 first = 0;
  return bpf_map_lookup_elem(&control, &first);
}

static int send(struct __sk_buff *skb, struct arrival_record *frame, __u32 out) {
  __u32 len = frame->len;
  if (len > NETRX_MAX_FRAME) return -1;
  asm volatile("" : "+r"(len));  // else the compiler makes one comparison of two, which the verifier does not follow
  if (len < NETRX_LINK_HEADER) return -1;
  if (bpf_skb_change_tail(skb, len, 0) || bpf_skb_store_bytes(skb, 0, frame->bytes, len, 0)) return -1;
  bpf_set_hash_invalid(skb);
  if (frame->hash) bpf_set_hash(skb, frame->hash);
  if (frame->vlan_proto && bpf_skb_vlan_push(skb, frame->vlan_proto, frame->vlan_tci)) return -1;
  long failed = bpf_clone_redirect(skb, out, 0);
  if (frame->vlan_proto) bpf_skb_vlan_pop(skb);
  return failed < 0 ? -1 : 0;  // positive: the receiving side dropped it, as it should now and then
}

static long send_all(__u32 round, void *context) {
  struct __sk_buff *skb = *(struct __sk_buff **)context;
  struct control_record *c = the_control();
  if (!c || round >= c->rounds) return 1;
  for (__u32 i = 0; i < NETRX_MAX_ARRIVALS; ++i) {
    __u32 key = i;
    if (i >= c->arrivals) break;
    struct arrival_record *frame = bpf_map_lookup_elem(&arrivals, &key);
    if (!frame || send(skb, frame, c->out_ifindex)) ++c->failures;
  }
  return 0;
}

/// Sends all frames in one go, round after round. It runs with softirqs off, so the receiving device is polled only when
/// all are in its queue: one poll sees them all, whatever else the machine does.
SEC("tc")
int inject(struct __sk_buff *skb) {
  struct __sk_buff *context = skb;
  bpf_loop(NETRX_MAX_ROUNDS, send_all, &context, 0);
  return 0;
}

// The kernel's structures as far as they are read here; the loader finds the fields' places in the running kernel.
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct ns_common {
  unsigned int inum;
};
struct net {
  struct ns_common ns;
};
typedef struct {
  struct net *net;
} possible_net_t;
struct net_device {
  int ifindex;
  possible_net_t nd_net;
};
struct skb_shared_info {
  unsigned short gso_size;
  unsigned short gso_segs;
  unsigned int gso_type;
};
struct sk_buff {
  struct net_device *dev;
  unsigned int len;
  __u8 ip_summed : 2;
  __u8 csum_level : 2;
  __u8 encapsulation : 1;
  __u8 l4_hash : 1;
  __u8 sw_hash : 1;
  __u16 csum_start;
  __u16 csum_offset;
  __u32 hash;
  __be16 vlan_proto;
  __u16 vlan_tci;
  __u16 inner_transport_header;
  __u16 inner_network_header;
  __be16 protocol;
  __u16 mac_header;
  unsigned int end;
  unsigned char *head;
  unsigned char *data;
};
#pragma clang attribute pop

/// Every packet that enters the stack on the watched device, with all its bytes.
SEC("tp_btf/netif_receive_skb")
int BPF_PROG(report, struct sk_buff *skb) {
  struct control_record *c = the_control();
  if (!c || skb->dev->ifindex != c->ifindex || skb->dev->nd_net.net->ns.inum != c->netns) return 0;
  __u64 head = (__u64)BPF_CORE_READ(skb, head);
  __u32 network = (__u64)BPF_CORE_READ(skb, data) - head;
  struct skb_shared_info *shared = (void *)(head + skb->end);
  struct seen_record record = {
      .cpu = bpf_get_smp_processor_id(),
      .len = skb->len,
      .hash = skb->hash,
      .l4_hash = BPF_CORE_READ_BITFIELD(skb, l4_hash),
      .sw_hash = BPF_CORE_READ_BITFIELD(skb, sw_hash),
      .protocol = skb->protocol,
      .vlan_proto = skb->vlan_proto,
      .vlan_tci = skb->vlan_tci,
      .ip_summed = BPF_CORE_READ_BITFIELD(skb, ip_summed),
      .csum_level = BPF_CORE_READ_BITFIELD(skb, csum_level),
      .csum_start = skb->csum_start - network,
      .csum_offset = skb->csum_offset,
      .gso_size = BPF_CORE_READ(shared, gso_size),
      .gso_segs = BPF_CORE_READ(shared, gso_segs),
      .gso_type = BPF_CORE_READ(shared, gso_type),
      .encapsulation = BPF_CORE_READ_BITFIELD(skb, encapsulation),
      .inner_network = skb->inner_network_header - network,
      .inner_transport = skb->inner_transport_header ? skb->inner_transport_header - network : 0,
  };
  bpf_probe_read_kernel(record.link_header, NETRX_LINK_HEADER, (void *)(head + skb->mac_header));
  __u64 bytes = record.len < NETRX_MAX_SEEN_BYTES ? record.len : NETRX_MAX_SEEN_BYTES;
  bpf_skb_output(skb, &seen, BPF_F_CURRENT_CPU | bytes << 32, &record, sizeof record);
  return 0;
}
