# SPDX-License-Identifier: Apache-2.0
"""`netrx vhost-device` plays a capture to `netrx run --dev vhost-user:...`: two commands, every frame arrives."""

import os
import signal
import subprocess
import tempfile
import time
import unittest

from command import MIXED, NETRX, PATIENCE, TINY, CommandTest, netrx


class Vhost(CommandTest):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.socket = os.path.join(self.folder.name, "s")

    def device(self, *arguments):
        child = subprocess.Popen([NETRX, "vhost-device", "--socket", self.socket, *arguments], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stderr.close)
        self.addCleanup(lambda: (child.kill(), child.wait()) if child.poll() is None else None)
        return child

    def play(self, source, keys, frames):
        device = self.device("--dev", source)
        self.assertIn("waiting for a driver", device.stdout.readline())
        result = self.run_json("--dev", f"vhost-user:{self.socket},reconnect=off,wait=10s{keys}")
        self.assertEqual(result["conservation"]["received"], frames)
        out, err = device.communicate(timeout=PATIENCE)
        self.assertEqual(device.returncode, 0, out + err)
        self.assertIn(f"to the driver:   {frames:,} frames", out)

    def test_a_capture_arrives(self):
        self.play(TINY, "", 20)

    def test_over_packed_rings(self):
        self.play(MIXED, ",packed=on,mrg_rxbuf=off", 14516)

    def test_the_driver_listens(self):
        device = self.device("--dev", TINY, "--connect")
        result = self.run_json("--dev", f"vhost-user:{self.socket},reconnect=off,server=on")
        self.assertEqual(result["conservation"]["received"], 20)
        device.communicate(timeout=PATIENCE)
        self.assertEqual(device.returncode, 0)

    def test_ctrl_c_ends_with_the_table(self):
        self.device("--dev", "gen:rate=1k").stdout.readline()
        run = subprocess.Popen([NETRX, "run", "--dev", f"vhost-user:{self.socket},wait=10s"], stdout=subprocess.PIPE,
                               text=True)
        self.addCleanup(lambda: (run.kill(), run.wait()) if run.poll() is None else None)
        time.sleep(0.7)
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=PATIENCE)
        self.assertEqual(run.returncode, 130, out)
        self.assertIn("ended by Ctrl-C", out)

    def test_bad_input(self):
        self.assert_refused(["vhost-device"], "--socket", "--help")
        self.assert_refused(["vhost-device", "--socket", self.socket, "--dev", "nonsense"], "no device kind")
        self.assert_refused(["vhost-device", "--socket", self.socket, "--dev", "gen", "--queues", "0"], "1 to 64")
        self.assert_refused(["vhost-device", "--socket", self.socket, "--dev", "gen", "--forward"], "sends nothing")
        self.assert_refused(["vhost-device", "--socket", "/nowhere/at/all", "--dev", "gen"], "can't listen", "folder")
        self.assert_refused(["run", "--dev", f"vhost-user:{self.socket}"], "start it first")

    def test_help(self):
        self.assertIn("qemu", netrx("vhost-device", "--help").stdout)


if __name__ == "__main__":
    unittest.main()
