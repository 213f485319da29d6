# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM end a run with its table."""

import json
import signal
import subprocess
import time
import unittest

from command import CPUS, NETRX, CommandTest, mask

ENDLESS = ("run", "--dev", "gen:flows=100,rate=50k", "--rps-cpus", mask(CPUS))


class Signals(CommandTest):
    def end(self, number, *arguments, wait=0.7):
        child = subprocess.Popen([NETRX, *ENDLESS, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True)
        time.sleep(wait)
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
        return child.returncode, out, err

    def test_ctrl_c_ends_with_the_table(self):
        code, out, err = self.end(signal.SIGINT)
        self.assertEqual(code, 130, out + err)
        self.assertIn("ended by Ctrl-C", out)
        self.assertIn("✓ conservation", out)

    def test_sigterm_with_applications(self):
        code, out, err = self.end(signal.SIGTERM, "--json", "--app-threads", "2", "--app-migrate", "50ms",
                                  "--rps-flow-cnt", "64",
                                  "--rps-sock-flow-entries", "64")
        self.assertEqual(code, 143, out + err)
        result = json.loads(out)
        self.assertEqual((result["ended"], result["signal"], result["exit_code"]), ("interrupted", signal.SIGTERM, 143))
        self.assertGreater(result["packets"], 1000)
        self.assert_accounted(result)

    def test_while_an_application_hangs(self):
        code, out, err = self.end(signal.SIGINT, "--app-threads", "1", "--app-stall")
        self.assertEqual(code, 130, out + err)

    def test_while_nothing_arrives(self):
        child = subprocess.Popen([NETRX, "run", "--dev", "gen:rate=1,flows=1", "--idle", "interrupt"],
                                 stdout=subprocess.PIPE,
                                 text=True)
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        self.assertIn("ended by Ctrl-C", child.communicate(timeout=60)[0])
        self.assertEqual(child.returncode, 130)


if __name__ == "__main__":
    unittest.main()
