"""A live run is enlarged: ranks with new numbers load while the others train, come in at a step's end and get their share;
not a bit of the result changes."""

import json
import os
import signal
import unittest

from changing_ranks import ChangingRanks, slowly
from many_ranks import bits
from program import DONE, USER_MUST_MEND, Live, cadre, wait_until

SLOWLY = slowly(0)


class JoinTest(ChangingRanks):
    def members(self, run):
        return [[member["rank"] for member in view["members"]] for view in self.events(run, "view")]

    def check_end(self, run, live, ranks):
        ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(live.processes("rank"), [])
        self.assertEqual(bits(run), bits(self.undisturbed))
        self.assertEqual(self.events(run, "lost") + self.events(run, "rollback"), [])
        self.assertGreaterEqual(self.at_work(run), set(ranks) - {0})
        self.assertEqual(cadre("verify", run).code, DONE)
        self.assertFalse((run / ".requests").exists())

    def test_new_ranks_join(self):
        config, run = self.config("two-more")
        with Live("train", config, "--ranks", 2, environment=SLOWLY) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            ended = cadre("join", run, "--ranks", 2)
            self.assertEqual((ended.code, ended.err), (DONE, ""))
            self.assertRegex(ended.out, r"^ranks 2 and 3 load\nranks 2 and 3 have come in, with view \d+\n$")
            states = [(rank["rank"], rank["state"]) for rank in json.loads(cadre("status", run, "--json").out)["ranks"]]
            self.assertEqual(states, [(rank, "live") for rank in range(4)])
            self.assertEqual(len(live.processes("rank")), 4)
            self.check_end(run, live, range(4))
        self.assertEqual(self.members(run)[0], [0, 1])
        self.assertEqual(self.members(run)[-1], [0, 1, 2, 3])
        self.assertEqual([line["ranks"] for line in self.events(run, "invited")], [[2, 3]])
        self.assertFalse([line for line in live.lines if "is started again" in line])

    def test_a_new_rank_is_like_the_others(self):
        """It survives the coordinator, is started again when it is lost, and leaves with its host."""
        config, run = self.config("like-others")
        with Live("train", config, "--ranks", 2, environment=SLOWLY) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            self.assertIn("rank 2 has come in", cadre("join", run, "localhost:1").out)
            os.kill(live.processes("coordinator")[0], signal.SIGKILL)
            drained = cadre("drain", run, "localhost")
            self.assertEqual((drained.code, drained.err), (DONE, ""))
            self.assertIn("rank 2 left", drained.out)
            self.assertEqual(len(live.processes("rank")), 2)
            self.check_end(run, live, range(2))
        self.assertEqual([line["rank"] for line in self.events(run, "drained")], [2])

    def test_the_host_file_grows(self):
        config, run = self.config("host-file")
        with Live("train", config, "--hosts", "localhost:2", environment=SLOWLY) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            hosts = run / "hosts"
            self.assertTrue(hosts.read_text().endswith("\nlocalhost:2\n"))
            hosts.write_text("localhost:2\n203.0.113.7:1\n")  # an address that documentation may use, and nobody has
            self.assertTrue(live.wait_for_line(r".*the host file: .*203\.0\.113\.7"), live.lines)
            hosts.write_text("localhost:3\n")
            wait_until(lambda: self.members(run)[-1] == [0, 1, 2])
            self.check_end(run, live, range(3))
        self.assertFalse(hosts.exists())

    def test_wrong_requests_change_nothing(self):
        config, run = self.config("wrong")

        def refused(*words):
            ended = cadre("join", *words)
            self.assertEqual((ended.code, ended.out), (USER_MUST_MEND, ""), ended.err)
            self.assertEqual(ended.err.count("\n"), 1, ended.err)
            return ended.err

        self.assertIn("no run is here", refused(self.folder / "nowhere"))
        self.assertIn("the run is not alive; it is succeeded", refused(self.undisturbed))
        self.assertIn("expected cadre join RUN", refused())
        with Live("train", config, "--ranks", 2, environment=SLOWLY) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            for words, problem in [(["--ranks", 0], "ranks"), (["--ranks", "x"], "ranks"), (["localhost:"], "HOST:RANKS"),
                                   (["localhost:2", "--ranks", 2], "expected none beside localhost:2"),
                                   (["localhost:70000"], "ranks"), (["a;reboot:1"], "expected a host's name"),
                                   (["--rank", 2], "rank"), (["a", "b"], "expected cadre join RUN"),
                                   (["localhost:65535"], "expected at most 65536 ranks in all")]:
                self.assertIn(problem, refused(run, *words))
            # An address for documentation: no host has it.
            self.assertRegex(refused(run, "203.0.113.7:1"), "does not listen towards host|cannot be reached from here")
            self.check_end(run, live, range(2))
        self.assertEqual(self.events(run, "invited"), [])


if __name__ == "__main__":
    unittest.main()
