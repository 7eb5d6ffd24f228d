"""Real trainings over two hosts that are network namespaces: what happens to hosts changes no bit of the result."""

import contextlib
import os
import pathlib
import signal
import socket
import struct
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import program  # noqa: E402
import tiny_base  # noqa: E402
from hosts import Hosts, why_not  # noqa: E402
from program import (DATA, DONE, RESUMABLE, Live, cadre, ledger, losses, marked, needs_data, read_lines,  # noqa: E402
                     sha256, wait_until, write_config)

REASON = why_not()
STEPS = 30


def bits(run):
    return sha256(run / "adapter_model.safetensors"), losses(run), ledger(run)


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


class Training(unittest.TestCase):
    """What the tests of this suite share: the data, the hosts, and the bits of one rank that nobody disturbs."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.data = cls.scratch / "data"
        cls.data.mkdir()
        cls.rows = tiny_base.write_jsonl(cls.data / "rows.jsonl", tiny_base.rows(200))
        cls.expected = bits(cls.train_here("one", "--ranks", 1))

    @classmethod
    def config(cls, name, **more):
        run = cls.scratch / name
        return write_config(cls.scratch / f"{name}.yaml", **tiny_base.lora(DATA / "stories260k_hf", run, cls.rows, **{
            "micro_batch_size": 1, "global_batch_size": 10, "max_steps": STEPS, "lora_r": 32, "lora_alpha": 32,
            "lora_dropout": 0.1, "lora_target_modules": "all-linear", "val_set_size": 20, "eval_steps": 10,
            "save_steps": 7, **more})), run

    @classmethod
    def train_here(cls, name, *options):
        config, run = cls.config(name)
        ended = cadre("train", config, *options)
        assert ended.code == DONE, ended.err
        return run

    def setUp(self):
        self.hosts = self.enterContext(Hosts(["a", "b"]))

    def start(self, config, hosts, hides=None):
        """`hosts`: ranks by name."""
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        agent = {"OMPI_MCA_plm_rsh_agent": str(self.hosts.remote_shell(folder, hides))}
        with mock.patch.dict(program.ENVIRONMENT, agent):
            return self.enterContext(Live("train", config, "--hosts", ",".join(
                f"{self.hosts.address(name)}:{ranks}" for name, ranks in hosts.items())))

    def ranks_on(self, live, name):
        return [pid for pid in live.processes("rank") if self.hosts.has(name, pid)]

    def check_end(self, live, run, code=DONE):
        ended = live.end()
        log = (run / "logs" / "launcher.log").read_text()
        self.assertEqual(ended.code, code, (ended.err, log))
        wait_until(lambda: not marked(live.mark))
        if code == DONE:
            self.assertEqual(bits(run), self.expected)
            self.assertEqual(cadre("verify", run).code, DONE)
        return ended


@unittest.skipIf(REASON, REASON)
@needs_data("stories260k_hf")
class TrainingTest(Training):
    def test_undisturbed(self):
        config, run = self.config("two-hosts")
        live = self.start(config, {"a": 2, "b": 2})
        self.assertTrue(live.wait_for_line(r"step 2/"))
        for name in ("a", "b"):
            for pid in self.ranks_on(live, name):
                self.assertEqual(listening_addresses(pid), {self.hosts.address(name)})
        coordinator, = live.processes("coordinator")
        self.assertEqual(listening_addresses(coordinator), {self.hosts.address_here()})
        self.check_end(live, run)
        views = [line for line in read_lines(run / "journal.jsonl") if line["event"] == "view"]
        self.assertEqual([[(member["rank"], member["host"]) for member in view["members"]] for view in views],
                         [[(0, "a"), (1, "a"), (2, "b"), (3, "b")]])
        for ranks in (2, 4):
            self.assertEqual(bits(self.train_here(f"here-{ranks}", "--ranks", ranks)), self.expected)

    def disturb(self, name, what, lost):
        config, run = self.config(name)
        live = self.start(config, {"a": 2, "b": 2})
        self.assertTrue(live.wait_for_line(r"step 4/"))
        what(live)
        self.check_end(live, run)
        journal = read_lines(run / "journal.jsonl")
        self.assertEqual({line["rank"] for line in journal if line["event"] == "lost"}, lost)
        self.assertEqual({line["generation"] for line in journal}, {0})  # nobody went back to a checkpoint
        return journal

    def test_a_rank_is_killed(self):
        self.disturb("rank", lambda live: os.kill(self.ranks_on(live, "b")[-1], signal.SIGKILL), {3})

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
        self.disturb("mpirun", kill, {2, 3})

    def test_a_host_is_cut_off(self):
        """Nothing closes its connections: the heartbeat limit tells."""
        journal = self.disturb("cut", lambda live: self.hosts.cut("b"), {2, 3})
        self.assertEqual({line["reason"].split(": ")[1] for line in journal if line["event"] == "lost"},
                         {"silent for 3 s"})

    def test_stopped_and_resumed_on_other_hosts(self):
        config, run = self.config("stopped")
        for hosts in ({"a": 2, "b": 2}, {"a": 1, "b": 2}):
            live = self.start(config, hosts)
            self.assertTrue(live.wait_for_line(r"step \d+/"))
            live.send(signal.SIGTERM)
            self.check_end(live, run, RESUMABLE)
        ended = cadre("train", config, "--ranks", 2)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(bits(run), self.expected)


if __name__ == "__main__":
    unittest.main()
