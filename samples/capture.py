# SPDX-License-Identifier: Apache-2.0
"""Reads a recorded capture: who talks, how much, are the checksums right; and cuts the small captures from it."""

import collections
import dataclasses
import pathlib
import struct

ETHERTYPES = {0x0800: "ipv4", 0x0806: "arp", 0x8100: "802.1Q", 0x86DD: "ipv6", 0x88A8: "802.1ad"}
SERVICES = {53: "dns", 80: "http", 6379: "redis", 5201: "iperf3", 5202: "iperf3", 5203: "iperf3"}
NEIGHBOUR_TYPES = range(133, 138)
MULTICAST_LISTENER_TYPES = (130, 131, 132, 143)
VXLAN_PORT = 4789

# One frame each, in this order of preference, for the tiny captures; a recording without one of them is refused.
WANTED = (
    "arp",
    "ipv6/icmpv6/neighbour",
    "ipv4/icmp/echo",
    "ipv6/icmpv6/echo",
    "ipv4/udp/dns",
    "ipv6/udp/dns",
    "ipv4/tcp/http",
    "ipv6/tcp/http",
    "ipv4/tcp/redis",
    "ipv4/tcp/iperf3",
    "ipv4/udp/iperf3",
    "ipv4/fragment",
    "ipv6/fragment",
    "802.1Q/ipv4/tcp/http",
    "802.1Q/ipv6/tcp/http",
    "802.1Q/ipv4/udp/dns",
    "802.1ad/802.1Q/ipv4/tcp/http",
    "ipv4/udp/vxlan/ipv4/tcp/http",
    "ipv4/gre/ipv4/tcp/http",
    "ipv4/6in4/ipv6/tcp/http",
)


@dataclasses.dataclass
class Record:
    seconds: int
    microseconds: int
    frame: bytes


@dataclasses.dataclass
class Facts:
    """What one frame is. `flow` names the innermost conversation, the same both ways; None where there is none."""

    layers: list = dataclasses.field(default_factory=list)
    flow: tuple = None
    checksums: int = 0
    wrong_checksums: int = 0

    @property
    def path(self):
        return "/".join(self.layers)


def read_pcap(path):
    """The records of a microsecond, little endian, Ethernet pcap file (what tcpdump writes here)."""
    data = pathlib.Path(path).read_bytes()
    magic = bytes.fromhex("d4c3b2a1")
    if len(data) < 24 or data[:4] != magic or struct.unpack_from("<I", data, 20)[0] != 1:
        raise ValueError(f"{path}: not a little endian microsecond Ethernet pcap file")
    records, offset = [], 24
    while offset < len(data):
        if offset + 16 > len(data):
            raise ValueError(f"{path}: record {len(records) + 1} is cut short")
        seconds, microseconds, captured, length = struct.unpack_from("<IIII", data, offset)
        offset += 16
        if captured != length or offset + captured > len(data):
            raise ValueError(f"{path}: record {len(records) + 1} is cut short")
        records.append(Record(seconds, microseconds, data[offset : offset + captured]))
        offset += captured
    return records


def ones_sum(data):
    """The Internet checksum's sum; 0xffff over data that carries a right checksum."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def check(facts, data):
    facts.checksums += 1
    facts.wrong_checksums += ones_sum(data) != 0xFFFF


def dissect(frame):
    facts = Facts()
    dissect_ethertype(facts, frame[12:])
    return facts


def dissect_ethertype(facts, data):
    """`data` starts with the EtherType."""
    kind = struct.unpack_from("!H", data)[0]
    name = ETHERTYPES.get(kind, f"ethertype-{kind:04x}")
    facts.layers.append(name)
    if name in ("802.1Q", "802.1ad"):
        dissect_ethertype(facts, data[4:])
    elif name == "ipv4":
        dissect_ipv4(facts, data[2:])
    elif name == "ipv6":
        dissect_ipv6(facts, data[2:])


def dissect_ipv4(facts, data):
    header = (data[0] & 15) * 4
    length, _, fragment = struct.unpack_from("!HHH", data, 2)
    check(facts, data[:header])
    addresses = data[12:20]
    if fragment & 0x3FFF:
        facts.layers.append("fragment")
        return
    dissect_transport(facts, data[9], addresses, data[header:length])


def dissect_ipv6(facts, data):
    length, protocol = struct.unpack_from("!HB", data, 4)
    addresses, rest = data[8:40], data[40 : 40 + length]
    while protocol == 0:  # hop-by-hop options
        protocol, rest = rest[0], rest[(rest[1] + 1) * 8 :]
    if protocol == 44:
        facts.layers.append("fragment")
        return
    dissect_transport(facts, protocol, addresses, rest)


def dissect_transport(facts, protocol, addresses, data):
    pseudo = addresses + struct.pack("!II", len(data), protocol)
    if protocol in (6, 17):
        facts.layers.append("tcp" if protocol == 6 else "udp")
        dissect_ports(facts, addresses, data, pseudo)
    elif protocol == 1:
        check(facts, data)
        facts.layers += ["icmp", "echo" if data[0] in (0, 8) else "other"]
    elif protocol == 58:
        check(facts, pseudo + data)
        facts.layers += ["icmpv6", icmpv6_name(data[0])]
    elif protocol == 47:
        facts.layers.append("gre")
        dissect_ethertype(facts, data[2:])
    elif protocol == 41:
        facts.layers += ["6in4", "ipv6"]
        dissect_ipv6(facts, data)
    else:
        facts.layers.append(f"protocol-{protocol}")
    if facts.layers[-1] == "echo":
        note_flow(facts, addresses, struct.unpack_from("!H", data, 4) * 2)


def icmpv6_name(kind):
    if kind in (128, 129):
        return "echo"
    if kind in NEIGHBOUR_TYPES:
        return "neighbour"
    return "multicast-listener" if kind in MULTICAST_LISTENER_TYPES else "other"


def dissect_ports(facts, addresses, data, pseudo):
    source, destination = struct.unpack_from("!HH", data)
    if facts.layers[-1] == "tcp" or data[6:8] != b"\0\0":  # a UDP checksum of 0 means: none
        check(facts, pseudo + data)
    if facts.layers[-1] == "udp" and destination == VXLAN_PORT:
        facts.layers.append("vxlan")
        dissect_ethertype(facts, data[8 + 8 + 12 :])
        return
    facts.layers.append(SERVICES.get(destination) or SERVICES.get(source) or "other")
    note_flow(facts, addresses, (source, destination))


def note_flow(facts, addresses, ports):
    half = len(addresses) // 2
    ends = sorted([(addresses[:half], ports[0]), (addresses[half:], ports[1])])
    facts.flow = (facts.path, *ends)


# Tables ------------------------------------------------------------------------------------------------------------

ENCAPSULATIONS = ("802.1ad", "802.1Q", "vxlan", "gre", "6in4")


@dataclasses.dataclass
class Row:
    flows: set = dataclasses.field(default_factory=set)
    packets: int = 0
    bytes: int = 0


class Summary:
    """Counts over a capture. Bytes are frame bytes without the capture format's own headers."""

    def __init__(self, records):
        self.records = records
        self.facts = [dissect(record.frame) for record in records]
        self.paths = {facts.path for facts in self.facts}
        self.checksums = sum(facts.checksums for facts in self.facts)
        self.wrong_checksums = sum(facts.wrong_checksums for facts in self.facts)
        self.flow_bytes = collections.Counter()
        self.by_program = collections.defaultdict(Row)
        self.by_carrier = collections.defaultdict(Row)
        for record, facts in zip(records, self.facts):
            self.count(record, facts)

    def count(self, record, facts):
        carriers = [layer for layer in facts.layers if layer in ENCAPSULATIONS]
        inner = facts.layers[facts.layers.index(carriers[-1]) + 1 :] if carriers else facts.layers
        program = " ".join(dict.fromkeys([inner[-1], *inner[-2:-1], inner[0]]))
        network = inner[0]
        for row in (self.by_program[program], self.by_carrier[" in ".join([network, *reversed(carriers)])]):
            row.packets += 1
            row.bytes += len(record.frame)
            if facts.flow:
                row.flows.add(facts.flow)
        if facts.flow:
            self.flow_bytes[facts.flow] += len(record.frame)

    @property
    def seconds(self):
        first, last = self.records[0], self.records[-1]
        return last.seconds - first.seconds + (last.microseconds - first.microseconds) / 1e6

    def overlap(self):
        """The share of packets whose predecessor belongs to another flow: 0 = one after another."""
        flows = [facts.flow for facts in self.facts if facts.flow]
        return sum(a != b for a, b in zip(flows, flows[1:])) / max(1, len(flows) - 1)

    def markdown(self):
        total = sum(len(record.frame) for record in self.records)
        sizes = sorted(self.flow_bytes.values(), reverse=True)
        share = [100 * sum(sizes[:n]) / max(1, sum(sizes)) for n in (1, 10)]
        lines = [
            f"{len(self.records)} packets, {total} bytes, {len(sizes)} flows, {self.seconds:.1f} s",
            f"{self.checksums} checksums, {self.wrong_checksums} wrong",
            f"heaviest flow {share[0]:.0f} % of the bytes, ten heaviest {share[1]:.0f} %, median flow "
            f"{sizes[len(sizes) // 2] if sizes else 0} bytes",
            f"{100 * self.overlap():.0f} % of packets follow a packet of another flow",
        ]
        text = "".join(f"- {line}\n" for line in lines)
        for title, rows in (("program", self.by_program), ("carried", self.by_carrier)):
            text += f"\n| {title} | flows | packets | bytes |\n|---|---:|---:|---:|\n"
            for name, row in sorted(rows.items(), key=lambda item: -item[1].bytes):
                text += f"| {name} | {len(row.flows)} | {row.packets} | {row.bytes} |\n"
        return text


# Small captures ----------------------------------------------------------------------------------------------------


def choose_tiny(summary):
    """The first frame of each wanted kind, in the order of the recording."""
    first = {}
    for index, facts in enumerate(summary.facts):
        first.setdefault(facts.path, index)
    return [summary.records[index] for index in sorted(first[path] for path in WANTED)]


def write_pcap(path, records):
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    for record in records:
        size = len(record.frame)
        data += struct.pack("<IIII", record.seconds, record.microseconds, size, size) + record.frame
    path.write_bytes(data)


def pad4(data):
    return data + bytes(-len(data) % 4)


def block(kind, body):
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def option(code, value):
    return struct.pack("<HH", code, len(value)) + pad4(value)


def write_pcapng(path, records):
    """One section, one interface with nanosecond time stamps (if_tsresol 9), enhanced packet blocks."""
    end = option(0, b"")
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    interface = struct.pack("<HHI", 1, 0, 262144) + option(2, b"trunk") + option(9, b"\x09") + end
    data = block(0x0A0D0D0A, section) + block(1, interface)
    for record in records:
        time = (record.seconds * 10**6 + record.microseconds) * 1000
        size = len(record.frame)
        body = struct.pack("<IIIII", 0, time >> 32, time & 0xFFFFFFFF, size, size)
        data += block(6, body + pad4(record.frame))
    path.write_bytes(data)


def write_small(folder, summary):
    """tiny.pcap, tiny.pcapng, and truncated.pcap, which ends in the middle of its last record's frame."""
    tiny = choose_tiny(summary)
    write_pcap(folder / "tiny.pcap", tiny)
    write_pcapng(folder / "tiny.pcapng", tiny)
    whole = (folder / "tiny.pcap").read_bytes()
    (folder / "truncated.pcap").write_bytes(whole[: len(whole) - len(tiny[-1].frame) // 2])
