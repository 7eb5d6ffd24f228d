"""Strangers who reach the ports of a live run on two hosts change nothing in it, nor do clients that hold its token."""

import re
import resource
import signal
import struct
import unittest

from strangers import PROTOCOL, RANK_HELLO, Stranger, Wiretap, listening_at, token_in
from training import DONE, Training, cadre

from program import REPOSITORY, RESUMABLE, ledger, losses, read_lines, sha256

VERSION = int(re.search(r"kProtocolVersion = (\d+)", (REPOSITORY / "runtime" / "codec.h").read_text())[1])
CONTROL_HELLO = PROTOCOL + struct.pack("<H", VERSION) + b"\1"


class HostilePeersTest(Training):
    @classmethod
    def config(cls, name, **more):
        """Each step's learning rate is the same whatever the number of steps, so that a longer run begins as a shorter."""
        return super().config(name, **{"eval_steps": 0, "val_set_size": 0, "save_steps": 0, "warmup_steps": 0,
                                       "lr_scheduler": "constant", **more})

    def strangers_at(self, live, wiretap):
        ranks, (coordinator,) = live.processes("rank"), live.processes("coordinator")
        control = listening_at(coordinator)  # its file server's too
        self.assertGreaterEqual(len(control), 2)
        peers = [address for pid in ranks for address in listening_at(pid)]
        self.assertGreaterEqual(len(peers), 4)
        self.assertNotEqual(wiretap.heard(RANK_HELLO, peers), [])
        token = token_in(coordinator, wiretap.heard(CONTROL_HELLO, control))
        return ([Stranger(one, CONTROL_HELLO, lambda: wiretap.heard(CONTROL_HELLO, control), token) for one in control] +
                [Stranger(one, RANK_HELLO, lambda: wiretap.heard(RANK_HELLO, peers), token) for one in peers])

    def check_descriptors(self, live):
        """Ranks and the coordinator take all that they may; the launcher hands on what it was given."""
        given, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        for pid in live.processes("rank") + live.processes("coordinator"):
            self.assertEqual(resource.prlimit(pid, resource.RLIMIT_NOFILE), (min(most, 1 << 20), most))
        self.assertEqual(resource.prlimit(live.process.pid, resource.RLIMIT_NOFILE), (given, most))

    def disturb(self, config, run):
        """A run that lasts until everybody has tried everything. Host b does not see its folder."""
        wiretap = Wiretap(f"cv{self.hosts.key}a")
        self.addCleanup(wiretap.close)
        live = self.start(config, {"a": 2, "b": 2}, hides={"b": [run]})
        self.wait_for_step(live, 2)
        self.check_descriptors(live)
        strangers = self.strangers_at(live, wiretap)
        for stranger in strangers:
            self.addCleanup(stranger.end)
            stranger.thread.start()
        while any(stranger.missing() for stranger in strangers):
            self.assertTrue(live.wait_for_line("step "), (live.lines[-3:], [one.missing() for one in strangers]))
        for stranger in strangers:
            stranger.end()
        live.send(signal.SIGTERM)
        ended = self.check_end(live, run, RESUMABLE)
        self.assertNotIn("warning", ended.err)

    def check_logs(self, run):
        """What was refused is told each minute and at the end: the last line says all."""
        logs = [run / "logs" / "coordinator.log", *sorted((run / "logs").glob("rank-*.log"))]
        self.assertEqual(len(logs), 5)
        for log in logs:
            told = [line for line in log.read_text().splitlines() if "refused" in line and "file server" not in line]
            self.assertRegex(told[-1], r"\d+ connections were refused: .*\d+ garbage, \d+ another version, \d+ a wrong token",
                             log)
        self.assertRegex(logs[0].read_text(), "a frame too long, .*a forged or repeated frame, .*a frame without a message")
        self.assertRegex(logs[0].read_text(), "file server: .*a frame too long, .*a forged or repeated frame")
        self.assertRegex(logs[1].read_text(), "another incarnation")

    def test_strangers_at_every_port(self):
        config, run = self.config("disturbed", max_steps=20000)
        self.disturb(config, run)
        self.check_logs(run)
        made = read_lines(run / "ledger.jsonl")
        steps = made[-1]["step"]
        self.assertEqual({(line["generation"], line["view"]) for line in made}, {(0, 1)})

        config, undisturbed = self.config("undisturbed", max_steps=steps)
        self.assertEqual(cadre("train", config, "--ranks", 1).code, DONE)
        self.assertEqual(losses(run), losses(undisturbed))
        self.assertEqual(ledger(run), ledger(undisturbed))
        checkpoint = run / "checkpoints" / f"step-{steps:08d}"
        config, written = self.config("written", max_steps=steps, resume_from_checkpoint=str(checkpoint))
        self.assertEqual(cadre("train", config).code, DONE)
        self.assertEqual(*(sha256(one / "adapter_model.safetensors") for one in (written, undisturbed)))


if __name__ == "__main__":
    unittest.main()
