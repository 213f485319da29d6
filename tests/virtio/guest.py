# SPDX-License-Identifier: Apache-2.0
"""A Linux guest of QEMU whose network cards are `netrx vhost-device`s. What guest_test.py and a demonstration share.

The guest is Debian's cloud kernel with an initramfs made here: busybox, the kernel's virtio modules, guest_agent. Its
second serial port takes a shell's command lines. Nothing of it touches a disk; its memory is a memfd that QEMU shares.
"""

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

QEMU, BUSYBOX = "/usr/bin/qemu-system-x86_64", "/bin/busybox"
NETRX = os.environ.get("NETRX", "build/release/cli/netrx")
AGENT = os.environ.get("GUEST_AGENT", "build/dev/tests/virtio/guest_agent")
KERNEL = Path(__file__).resolve().parents[2] / "build/guest"  # `./dev setup guest` fills it
MODULES = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "failover",
           "net_failover", "virtio_net")
MEMORY = "256M"
PATIENCE = 120  # seconds that a boot or a command in the guest may take

INIT = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t devtmpfs dev /dev
for module in {" ".join(MODULES)}; do insmod /modules/$module.ko; done
exec </dev/ttyS1 >/dev/ttyS1 2>&1
stty raw -echo
echo ready
while read -r line; do
  eval "$line"
  echo "@@ $?"
done
"""


def missing():
    """What must be installed first; None when everything is there."""
    for path in (QEMU, BUSYBOX, AGENT, KERNEL / "vmlinuz", *(KERNEL / f"{module}.ko" for module in MODULES)):
        if not os.access(path, os.R_OK):
            return f"needs {path}; ./dev setup guest"
    return None


def has_kvm():
    """Whether the processor runs guests itself. A /dev/kvm without that is an emulation for kernels made for it."""
    flags = set(re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)[1].split())
    return bool(flags & {"vmx", "svm"}) and os.access("/dev/kvm", os.R_OK | os.W_OK)


def cpio(entries):
    """A cpio archive ("newc") of (name, mode, data)."""
    archive = bytearray()

    def add(inode, name, mode, data):
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        archive.extend(b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0")
        archive.extend(bytes(-len(archive) % 4) + data)
        archive.extend(bytes(-len(archive) % 4))

    for inode, entry in enumerate(entries, 1):
        add(inode, *entry)
    add(0, "TRAILER!!!", 0, b"")
    return bytes(archive)


def initramfs(programs):
    folders = [(name, 0o40755, b"") for name in ("bin", "dev", "modules", "proc", "sys", "tmp")]
    modules = [(f"modules/{module}.ko", 0o100644, (KERNEL / f"{module}.ko").read_bytes()) for module in MODULES]
    binaries = [(f"bin/{Path(path).name}", 0o100755, Path(path).read_bytes()) for path in (BUSYBOX, *programs)]
    return gzip.compress(cpio([*folders, *modules, *binaries, ("init", 0o100755, INIT.encode())]), 1)


class Device:
    """A running `netrx vhost-device`. Ends with its owner."""

    def __init__(self, path, *arguments):
        self.process = subprocess.Popen([NETRX, "vhost-device", "--socket", path, *arguments], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.first = self.process.stdout.readline()
        if "waiting for a driver" not in self.first:
            raise RuntimeError(f"netrx vhost-device: {self.first}{self.process.communicate(timeout=PATIENCE)[0]}")

    def stop(self, how=signal.SIGINT):
        """Ends it as Ctrl-C does; (frames to the driver, frames from it, all it printed)."""
        self.process.send_signal(how)
        out, _ = self.process.communicate(timeout=PATIENCE)
        found = [re.search(rf"^{way} the driver: +([\d,]+) frames", out, re.MULTILINE) for way in ("to", "from")]
        counts = [int(one[1].replace(",", "")) if one else None for one in found]
        return counts[0], counts[1], out

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Guest:
    """A booted guest with one network card for each of `cards`: (socket, queue pairs, the card's properties)."""

    def __init__(self, folder, cards, programs=(AGENT,), cpus=2):
        self.folder = Path(folder)
        self.control = None
        image = self.folder / "initramfs"
        image.write_bytes(initramfs(programs))
        with open(self.folder / "qemu", "wb") as output:
            self.process = subprocess.Popen([*self.machine(cpus), "-initrd", image, *self.card_arguments(cards)],
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            self.control = self.connect()
            self.read_until(b"ready\n")
        except Exception as why:
            self.kill()
            code = self.process.poll()
            raise RuntimeError(f"the guest did not boot: {why}; QEMU's exit code {code}\n{self.said()}") from why

    def machine(self, cpus):
        kvm = has_kvm()
        return [QEMU, "-accel", "kvm" if kvm else "tcg", "-cpu", "host" if kvm else "max", "-smp", str(cpus),
                "-machine", "q35,memory-backend=memory", "-m", MEMORY,
                "-object", f"memory-backend-memfd,id=memory,size={MEMORY},share=on",
                "-nodefaults", "-no-user-config", "-display", "none",
                "-kernel", KERNEL / "vmlinuz", "-append", "console=ttyS0 ipv6.disable=1 panic=-1 net.ifnames=0",
                "-serial", f"file:{self.folder / 'console'}", "-serial", "chardev:control",
                "-chardev", f"socket,id=control,path={self.folder / 'control'},server=on,wait=off"]

    @staticmethod
    def card_arguments(cards):
        arguments = []
        for index, (path, queues, properties) in enumerate(cards):
            # Debian 12's QEMU 7.2 crashes with MSI-X, vhost-user and no KVM (it takes an irqfd for granted).
            vectors = 2 * queues + 2 if has_kvm() else 0
            many = ["mq=on"] if queues > 1 else []
            arguments += ["-chardev", f"socket,id=c{index},path={path},reconnect=1",
                          "-netdev", f"vhost-user,id=n{index},chardev=c{index},queues={queues}",
                          "-device", ",".join(["virtio-net-pci,romfile=", f"netdev=n{index}", f"vectors={vectors}",
                                               f"mac=52:54:00:00:00:{index:02x}", *many, *properties])]
        return arguments

    def said(self):
        return "".join((self.folder / name).read_text(errors="replace")[-3000:] for name in ("qemu", "console")
                       if (self.folder / name).exists())

    def connect(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            control = socket.socket(socket.AF_UNIX)
            if control.connect_ex(str(self.folder / "control")) == 0:
                return control
            control.close()
            time.sleep(0.02)
        raise TimeoutError("QEMU ended" if self.process.poll() is not None else "QEMU does not listen")

    def read_until(self, end):
        """Everything up to and with what the pattern finds."""
        deadline, got = time.monotonic() + PATIENCE, b""
        while (found := re.search(end, got)) is None:
            self.control.settimeout(max(deadline - time.monotonic(), 0.001))
            more = self.control.recv(65536)
            if not more:
                raise RuntimeError("the guest has gone\n" + self.said())
            got += more
        return got[:found.end()]

    def start(self, line):
        """A command line, not waited for; finish() does."""
        self.control.sendall(line.encode() + b"\n")

    def finish(self):
        answer = self.read_until(rb"@@ \d+\r?\n").decode(errors="replace").replace("\r", "")
        text, _, code = answer.rpartition("@@ ")
        if int(code) != 0:
            raise RuntimeError(f"in the guest, exit code {code.strip()}: {text}")
        return text

    def run(self, line):
        self.start(line)
        return self.finish()

    def reboot(self):
        self.start("reboot -f")
        self.read_until(b"ready\n")

    def wait_for_carrier(self, interface, value):
        self.run(f"until [ $(cat /sys/class/net/{interface}/carrier) = {value} ]; do sleep 0.1; done")

    def counters(self, interface):
        names = ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "rx_errors", "tx_dropped")
        values = self.run(f"cd /sys/class/net/{interface}/statistics && cat {' '.join(names)}; cd /").split()
        return dict(zip(names, map(int, values)))

    def kill(self):
        if self.control is not None:
            self.control.close()
        self.process.kill()
        self.process.wait()


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)
