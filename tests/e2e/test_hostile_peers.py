"""Strangers who reach the ports of a live run change nothing in it."""

import collections
import os
import pathlib
import signal
import socket
import struct
import tempfile
import threading
import unittest

from many_ranks import MODEL, Scene
from program import DONE, RESUMABLE, Live, cadre, ledger, losses, read_lines, sha256, write_config

COORDINATOR_HELLO = b"CADRE\n"
RANK_HELLO = struct.pack("<Q", 0x3131687265726443)  # comm/tcp_handshake.cpp


def listening_ports(pid):
    """The TCP ports of the loopback that this process listens on."""
    sockets = set()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(entry))
        except OSError:
            pass  # closed meanwhile
    ports = []
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
            ports.append(int(words[1].split(":")[1], 16))
    return ports


class Wiretap:
    """What was first sent on each connection over the loopback: the handshakes of the run's own processes."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind(("lo", 0))
        self.socket.settimeout(0.2)
        self.first = collections.defaultdict(bytes)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()

    def listen(self):
        while not self.over.is_set():
            try:
                packet, where = self.socket.recvfrom(1 << 16)
            except TimeoutError:
                continue
            if where[2] == socket.PACKET_OUTGOING or len(packet) < 54 or packet[23] != socket.IPPROTO_TCP:
                continue
            start = 14 + 4 * (packet[14] & 15)
            source, target = struct.unpack(">HH", packet[start:start + 4])
            end = 14 + struct.unpack(">H", packet[16:18])[0]
            said = packet[start + 4 * (packet[start + 12] >> 4):end]
            if len(self.first[source, target]) < 4096:
                self.first[source, target] += said

    def close(self):
        self.over.set()
        self.thread.join()
        self.socket.close()

    def said_to(self, port):
        """The first bytes of each connection to it, as far as they were heard."""
        return [said for (_, target), said in list(self.first.items())
                if target == port and said.startswith((COORDINATOR_HELLO, RANK_HELLO))]


class Stranger:
    """Tries one thing after another on a port until the run is over."""

    def __init__(self, port, hello, wiretap):
        self.port, self.hello, self.wiretap = port, hello, wiretap
        self.done = collections.Counter()
        self.over = threading.Event()
        self.silent = []
        self.thread = threading.Thread(target=self.work)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=2)

    def answer(self, *parts):
        """Sends each part, and reads what comes back in between."""
        with self.connect() as peer:
            peer.settimeout(0.2)
            for part in parts:
                peer.sendall(part)
                try:
                    peer.recv(1 << 16)
                except TimeoutError:
                    pass

    def garbage(self):
        self.answer(os.urandom(4096))

    def http(self):
        self.answer(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def oversized_lengths(self):
        self.answer(b"\xff" * 65536)

    def oversized_lengths_after_the_hello(self):
        self.answer(self.hello + bytes(64), b"\xff" * 65536)

    def wrong_proof(self):
        self.answer(self.hello + os.urandom(35 if self.hello == COORDINATOR_HELLO else 32), os.urandom(88))

    def reflection(self):
        with self.connect() as peer:
            peer.settimeout(0.2)
            peer.sendall(self.hello + (b"\1\0\1" if self.hello == COORDINATOR_HELLO else b"") + os.urandom(32))
            peer.sendall(peer.recv(1 << 16))

    def replay(self):
        for said in self.wiretap.said_to(self.port):
            self.answer(said)

    def silence(self):
        self.silent.append(self.connect())

    def crowd(self):
        crowd = [self.connect() for _ in range(20)]
        for one in crowd:
            one.close()

    def half_a_hello(self):
        self.answer(self.hello[:5])

    TRICKS = (garbage, http, oversized_lengths, oversized_lengths_after_the_hello, wrong_proof, reflection, replay, silence,
              crowd, half_a_hello)

    def work(self):
        while not self.over.is_set():
            for trick in self.TRICKS:
                try:
                    trick(self)
                except OSError:
                    pass  # thrown out, which is right, or the run is over
                self.done[trick.__name__] += 1
                if self.over.is_set():
                    break

    def end(self):
        self.over.set()
        self.thread.join()
        for one in self.silent:
            one.close()


@unittest.skipUnless(os.geteuid() == 0, "only root may listen to what the run's processes say to each other")
class HostilePeersTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.scene = Scene(self.folder)

    def config(self, name, **more):
        """Each step's learning rate is the same whatever the number of steps, so that a longer run begins as a shorter."""
        run = self.folder / name
        return write_config(self.folder / f"{name}.yaml", **self.scene.full(run, **{
            "eval_steps": 0, "test_datasets": [], "warmup_steps": 0, "lr_scheduler": "constant", **more})), run

    def disturb(self, config):
        """A run that lasts until everybody has tried everything."""
        wiretap = Wiretap()
        self.addCleanup(wiretap.close)
        with Live("train", config, "--ranks", 3) as live:
            self.assertTrue(live.wait_for_line("step 2/"), live.lines)
            ranks, (coordinator,) = live.processes("rank"), live.processes("coordinator")
            strangers = [Stranger(port, COORDINATOR_HELLO, wiretap) for port in listening_ports(coordinator)]
            strangers += [Stranger(port, RANK_HELLO, wiretap) for pid in ranks for port in listening_ports(pid)]
            self.assertGreaterEqual(len(strangers), 4)
            # Each rank's with the coordinator: among themselves ranks of one host use Unix sockets.
            self.assertGreaterEqual(sum(len(wiretap.said_to(stranger.port)) for stranger in strangers), 3,
                                    "too few handshakes were heard that could be replayed")
            for stranger in strangers:
                stranger.thread.start()
            while any(len(stranger.done) < len(Stranger.TRICKS) for stranger in strangers):
                self.assertTrue(live.wait_for_line("step "), live.lines)
            for stranger in strangers:
                stranger.end()
            live.send(signal.SIGTERM)
            ended = live.end()
        self.assertEqual(ended.code, RESUMABLE, ended.err)
        self.assertNotIn("warning", ended.err)

    def test_strangers_at_every_port(self):
        config, run = self.config("disturbed", max_steps=5000)
        self.disturb(config)
        made = read_lines(run / "ledger.jsonl")
        steps = made[-1]["step"]
        self.assertEqual({(line["generation"], line["view"]) for line in made}, {(0, 1)})

        # What was refused is in the logs, each minute and at the end: the last line says all.
        logs = [run / "logs" / "coordinator.log", *sorted((run / "logs").glob("rank-*.log"))]
        self.assertEqual(len(logs), 4)
        for log in logs:
            told = [line for line in log.read_text().splitlines() if "refused" in line]
            self.assertRegex(told[-1], r"\d+ connections were refused: .*\d+ garbage.*, \d+ a wrong token", log)

        config, undisturbed = self.config("undisturbed", max_steps=steps)
        self.assertEqual(cadre("train", config, "--ranks", 1).code, DONE)
        self.assertEqual(losses(run), losses(undisturbed))
        self.assertEqual(ledger(run), ledger(undisturbed))
        checkpoint = run / "checkpoints" / f"step-{steps:08d}"
        config, written = self.config("written", max_steps=steps, resume_from_checkpoint=str(checkpoint))
        self.assertEqual(cadre("train", config).code, DONE)
        self.assertEqual(sha256(written / MODEL), sha256(undisturbed / MODEL))


if __name__ == "__main__":
    unittest.main()
