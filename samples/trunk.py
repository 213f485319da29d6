# SPDX-License-Identifier: Apache-2.0
"""One end of the trunk: 802.1Q, 802.1ad and IP tunnel interfaces in user space.

Usage: trunk.py DEVICE SPEC...      (SPEC: see LINKS in `record`, which starts one of these in each namespace)

    NAME=vlan:100            802.1Q tag 100 on DEVICE
    NAME=qinq:200.30         802.1ad tag 200, inside it 802.1Q tag 30
    NAME=gre:LOCAL:REMOTE    GRE (RFC 2784, no key) over IPv4
    NAME=6in4:LOCAL:REMOTE   IPv6 in IPv4 (protocol 41)

The programs use NAME like any interface; their frames leave DEVICE with the tag or the outer header. In user space,
because some kernels (small VMs) are built without 8021q, ip_gre and sit, and the recording should work there too.
Prints "ready" once every NAME exists; runs until it is killed.
"""

import errno
import fcntl
import os
import selectors
import signal
import socket
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_TAP, IFF_NO_PI = 0x0001, 0x0002, 0x1000
SOL_PACKET, PACKET_AUXDATA = 263, 8
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 1 << 4, 1 << 6
ETH_P_ALL, ETH_P_8021Q, ETH_P_8021AD = 0x0003, 0x8100, 0x88A8
PROTOCOL_6IN4, PROTOCOL_GRE = 41, 47


def open_interface(name, mode):
    """Creates the interface `name` and returns its descriptor; it vanishes when that is closed."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), mode | IFF_NO_PI))
    return fd


def send(action, *arguments):
    """Sends; a full queue loses the frame, as it would in a device."""
    try:
        action(*arguments)
    except OSError as error:
        if error.errno not in (errno.ENOBUFS, errno.EAGAIN, errno.EIO):  # EIO: the interface is not up yet
            raise


class Vlans:
    """All tagged interfaces of one device, keyed by their tags as they stand in the frame."""

    def __init__(self, device):
        self.by_tags = {}
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((device, ETH_P_ALL))

    def add(self, name, tags):
        fd = open_interface(name, IFF_TAP)
        self.by_tags[tags] = fd
        return fd, lambda: self.tag(fd, tags)

    def tag(self, fd, tags):
        frame = os.read(fd, 65536)
        send(self.socket.send, frame[:12] + tags + frame[12:])

    def untag(self):
        frame, control, _, sender = self.socket.recvmsg(65536, socket.CMSG_SPACE(20))
        if sender[2] == socket.PACKET_OUTGOING:
            return
        for level, kind, data in control:
            if (level, kind) != (SOL_PACKET, PACKET_AUXDATA):
                continue
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
            if status & TP_STATUS_VLAN_VALID:  # the kernel took the outer tag out of the frame
                tpid = tpid if status & TP_STATUS_VLAN_TPID_VALID else ETH_P_8021Q
                frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
        for tags, fd in self.by_tags.items():
            if frame[12 : 12 + len(tags)] == tags:
                send(os.write, fd, frame[:12] + frame[12 + len(tags) :])


class Tunnel:
    """An interface whose IP packets travel inside IPv4 packets of `protocol`."""

    def __init__(self, name, protocol, local, remote):
        self.fd = open_interface(name, IFF_TUN)
        self.protocol = protocol
        self.remote = remote
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
        self.socket.bind((local, 0))

    def wrap(self):
        packet = os.read(self.fd, 65536)
        ethertype = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
        header = struct.pack("!HH", 0, ethertype) if self.protocol == PROTOCOL_GRE else b""
        send(self.socket.sendto, header + packet, (self.remote, 0))

    def unwrap(self):
        packet = self.socket.recv(65536)
        inner = (packet[0] & 15) * 4 + (4 if self.protocol == PROTOCOL_GRE else 0)
        send(os.write, self.fd, packet[inner:])


def parse_tags(text):
    """"100" is an 802.1Q tag; "200.30" is an 802.1ad tag and an 802.1Q tag inside it."""
    ids = [int(part) for part in text.split(".")]
    kinds = [ETH_P_8021Q] if len(ids) == 1 else [ETH_P_8021AD, ETH_P_8021Q]
    return b"".join(struct.pack("!HH", kind, vid) for kind, vid in zip(kinds, ids))


def main():
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    device, specs = sys.argv[1], sys.argv[2:]
    selector = selectors.DefaultSelector()
    vlans = Vlans(device)
    selector.register(vlans.socket, selectors.EVENT_READ, vlans.untag)
    for spec in specs:
        name, _, rest = spec.partition("=")
        kind, *parts = rest.split(":")
        if kind in ("vlan", "qinq"):
            fd, handler = vlans.add(name, parse_tags(parts[0]))
            selector.register(fd, selectors.EVENT_READ, handler)
        else:
            tunnel = Tunnel(name, PROTOCOL_GRE if kind == "gre" else PROTOCOL_6IN4, *parts)
            selector.register(tunnel.fd, selectors.EVENT_READ, tunnel.wrap)
            selector.register(tunnel.socket, selectors.EVENT_READ, tunnel.unwrap)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            key.data()


if __name__ == "__main__":
    main()
