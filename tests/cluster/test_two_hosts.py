"""`--hosts` on hosts that are network namespaces: an mpirun each, real addresses, real host names."""

import os
import pathlib
import shutil
import signal
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from hosts import Hosts, why_not  # noqa: E402
from test_launch import BUILD, Run, marked  # noqa: E402

REASON = why_not()


@unittest.skipIf(REASON, REASON)
class TwoHostsTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.hosts = self.enterContext(Hosts(["a", "b"]))

    def start(self, islands, rank=BUILD / "fake_rank", hides=None, **orders):
        os.environ["OMPI_MCA_plm_rsh_agent"] = str(self.hosts.remote_shell(self.folder, hides))
        self.addCleanup(os.environ.pop, "OMPI_MCA_plm_rsh_agent")
        run = Run(self.folder / "logs", islands, rank, **orders)
        self.addCleanup(run.__exit__)
        return run

    def islands(self, ranks=2):
        return ",".join(f"{self.hosts.address(name)}:{ranks}" for name in ("a", "b"))

    def check_end(self, run, code, within=5):
        found, lines = run.end()
        self.assertEqual(found, code, (run.err, run.lines, run.log("launcher")))
        self.assertEqual(run.left_behind(within), {})
        return lines["exit_code"]

    def test_ranks_of_two_hosts(self):
        run = self.start(self.islands(), FAKE_RANKS=4)
        self.check_end(run, 0)
        self.assertEqual(sorted((line["rank"], line["host"]) for line in run.said("joined")),
                         [(0, "a"), (1, "a"), (2, "b"), (3, "b")])
        for rank, host in enumerate("aabb"):
            self.assertIn(f"rank {rank} on {host} ", run.log(f"rank-{rank:05d}"))

    def test_this_machine_and_another(self):
        run = self.start(f":1,{self.hosts.address('b')}:1", FAKE_RANKS=2)
        self.check_end(run, 0)
        self.assertEqual({line["rank"]: line["host"] for line in run.said("joined")}, {0: os.uname().nodename, 1: "b"})

    def test_executable_that_one_host_lacks(self):
        (self.folder / "bin").mkdir()
        rank = shutil.copy(BUILD / "fake_rank", self.folder / "bin")
        run = self.start(self.islands(), rank, hides={"b": [self.folder / "bin"]}, FAKE_RANKS=4)
        reason = self.check_end(run, 1)["reason"]
        self.assertRegex(reason, r"rank [23] on 10\.\S+ ended before it had started, with exit code 127: .*not found")

    def test_host_that_cannot_be_reached(self):
        run = self.start(f"{self.hosts.network}.200:1", FAKE_RANKS=1)
        reason = self.check_end(run, 1)["reason"]
        self.assertIn(f"rank 0 on {self.hosts.network}.200 did not start: mpirun ended with exit code", reason)
        self.assertIn("remote_shell: no host", reason)

    def test_host_that_is_no_host(self):
        run = self.start("no-such-host.invalid:1", FAKE_RANKS=1)
        code, _ = run.end()
        self.assertEqual(code, 2)
        self.assertIn("no-such-host.invalid", run.err)

    def test_second_signal_ends_both_hosts(self):
        run = self.start(self.islands(), FAKE_RANKS=4, FAKE_ENDS="never", FAKE_STUBBORN=1)
        run.wait_for("complete")
        run.process.send_signal(signal.SIGTERM)
        run.wait_for("heard")
        run.process.send_signal(signal.SIGTERM)
        self.check_end(run, 1, within=10)

    def test_launcher_is_killed(self):
        run = self.start(self.islands(), FAKE_RANKS=4, FAKE_ENDS="never")
        run.wait_for("complete")
        run.process.kill()
        run.end()
        self.assertEqual(run.left_behind(within=15), {})

    def test_loss_of_one_hosts_mpirun_leaves_the_other_alone(self):
        run = self.start(self.islands(), FAKE_RANKS=4, FAKE_ENDS="on_stop")
        run.wait_for("complete")
        victim, = (pid for pid, words in marked(run.mark).items()
                   if words.startswith("mpirun ") and self.hosts.address("b") in words)
        os.kill(victim, signal.SIGKILL)
        ended = set()
        while ended != {line["rank"] for line in run.said("joined") if line["host"] == "b"}:
            heard = run.wait_for("heard")["heard"]
            self.assertEqual(heard["control"], "rank_ended")
            ended.add(heard["rank"])
        for line in run.said("joined"):
            if line["host"] == "a":
                os.kill(line["pid"], 0)
        run.process.send_signal(signal.SIGTERM)
        self.check_end(run, 75, within=10)


if __name__ == "__main__":
    unittest.main()
