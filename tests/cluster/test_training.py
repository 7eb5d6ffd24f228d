"""Real trainings over two hosts that are network namespaces: what happens to hosts changes no bit of the result."""

import contextlib
import os
import pathlib
import signal
import socket
import struct
import unittest

from training import OnHosts, Training, bits

from many_ranks import Scene
from program import DONE, RESUMABLE, cadre, checkpoints, marked, read_lines, shards, write_config


def listening_addresses(pid):
    """The addresses of the TCP sockets on which a process listens, as its own namespace has them."""
    sockets = set()
    for file in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            sockets.add(os.readlink(file))
    found = set()
    for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
            found.add(socket.inet_ntoa(struct.pack("<I", int(words[1].split(":")[0], 16))))
    return found


def members(run):
    """Of each view: rank and host."""
    return [[(member["rank"], member["host"]) for member in line["members"]]
            for line in read_lines(run / "journal.jsonl") if line["event"] == "view"]


class TrainingTest(Training):
    def test_undisturbed(self):
        config, run = self.config("two-hosts")
        live = self.start(config, {"a": 2, "b": 2})
        self.wait_for_step(live, 2)
        for name in ("a", "b"):
            for pid in self.ranks_on(live, name):
                self.assertEqual(listening_addresses(pid), {self.hosts.address(name)})
        coordinator, = live.processes("coordinator")
        self.assertEqual(listening_addresses(coordinator), {self.hosts.address_here()})
        self.check_end(live, run)
        self.assertEqual(members(run), [[(0, "a"), (1, "a"), (2, "b"), (3, "b")]])
        for ranks in (2, 4):
            self.assertEqual(bits(self.train_here(f"here-{ranks}", "--ranks", ranks)), self.expected)

    def disturb(self, name, what, lost=None, may_last=False):
        """`lost`: the ranks; without it, the one whose process `what` returns. `may_last`: or none, as they have some
        seconds left to live."""
        config, run = self.config(name)
        live = self.start(config, {"a": 2, "b": 2})
        self.wait_for_step(live, 4)
        victim = what(live)
        self.check_end(live, run)
        journal = read_lines(run / "journal.jsonl")
        lost = lost or {line["rank"] for line in journal if line["event"] == "joined" and line["pid"] == victim}
        found = {line["rank"] for line in journal if line["event"] == "lost"}
        self.assertTrue(found == lost or (may_last and not found), found)
        self.assertEqual({line["generation"] for line in journal}, {0})  # nobody went back to a checkpoint
        return journal

    def test_a_rank_is_killed(self):
        def kill(live):
            victim = self.ranks_on(live, "b")[0]
            os.kill(victim, signal.SIGKILL)
            return victim
        self.disturb("rank", kill)

    def test_a_hosts_ranks_are_killed(self):
        def kill(live):
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in self.ranks_on(live, "b"):
                    os.kill(pid, number)
        self.disturb("ranks", kill, {2, 3})

    def test_a_hosts_mpirun_is_killed(self):
        def kill(live):
            mpirun, = (pid for pid, words in marked(live.mark).items()
                       if words.startswith("mpirun ") and self.hosts.address("b") in words)
            os.kill(mpirun, signal.SIGKILL)
        self.disturb("mpirun", kill, {2, 3}, may_last=True)

    def test_a_host_is_cut_off(self):
        """Nothing closes its connections: the heartbeat limit tells."""
        journal = self.disturb("cut", lambda live: self.hosts.cut("b"), {2, 3})
        self.assertEqual({line["reason"].split(": ")[1] for line in journal if line["event"] == "lost"},
                         {"silent for 3 s"})

    def test_stopped_and_resumed_on_other_hosts(self):
        config, run = self.config("stopped")
        for hosts in ({"a": 2, "b": 2}, {"a": 1, "b": 2}):
            live = self.start(config, hosts)
            self.wait_for_step(live, r"\d+")
            live.send(signal.SIGTERM)
            self.check_end(live, run, RESUMABLE)
        ended = cadre("train", config, "--ranks", 2)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(bits(run), self.expected)


class KindsTest(OnHosts):
    """Each kind of training, of several chunks of state and with packed rows, undisturbed."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.scene = Scene(cls.scratch)

    def check(self, keys, **more):
        alone = self.scratch / f"{self.id()}-1"
        ended = cadre("train", write_config(alone.with_suffix(".yaml"), **keys(alone)), "--ranks", 1)
        self.assertEqual(ended.code, DONE, ended.err)
        self.expected = bits(alone)
        run = self.scratch / f"{self.id()}-4"
        live = self.start(write_config(run.with_suffix(".yaml"), **keys(run, **more)), {"a": 2, "b": 2})
        self.check_end(live, run)
        self.assertEqual(members(run), [[(0, "a"), (1, "a"), (2, "b"), (3, "b")]])
        self.assertEqual(len(shards(run / "checkpoints" / checkpoints(run)[-1])), 4, "each rank holds some of the state")

    def test_dora(self):
        self.check(self.scene.dora)

    def test_full_fine_tuning(self):
        self.check(self.scene.full)

    def test_full_fine_tuning_in_stage_2(self):
        self.check(self.scene.full, zero_stage=2)


if __name__ == "__main__":
    unittest.main()
