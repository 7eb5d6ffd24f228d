"""Those who reach a run's ports and do not belong to it: some know nothing, some hold its token."""

import collections
import ctypes
import ctypes.util
import hmac
import os
import pathlib
import socket
import struct
import threading

PROTOCOL = b"CADRE\n"  # runtime/control_channel.h
HELLO_BYTES, PROOF_BYTES = 41, 32
RANK_HELLO = struct.pack("<Q", 0x3131687265726443)  # comm/tcp_handshake.cpp
REFUSED = 3


def listening_at(pid):
    """The addresses and TCP ports that this process listens on, in its own network."""
    sockets = set()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(entry))
        except OSError:
            pass  # closed meanwhile
    found = []
    for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
            address, port = words[1].split(":")
            found.append((socket.inet_ntoa(struct.pack("<I", int(address, 16))), int(port, 16)))
    return found


class Wiretap:
    """What was first sent on each connection that passes a cable: the handshakes of the run's own processes."""

    def __init__(self, interface):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((interface, 0))
        self.socket.settimeout(0.2)
        self.first = collections.defaultdict(bytes)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()

    def listen(self):
        while not self.over.is_set():
            try:
                packet = self.socket.recv(1 << 16)
            except TimeoutError:
                continue
            if len(packet) < 54 or packet[12:14] != b"\x08\0" or packet[23] != socket.IPPROTO_TCP:
                continue
            start = 14 + 4 * (packet[14] & 15)
            ends = [(socket.inet_ntoa(packet[26 + 4 * i:30 + 4 * i]), *struct.unpack_from(">H", packet, start + 2 * i))
                    for i in (0, 1)]
            said = packet[start + 4 * (packet[start + 12] >> 4):14 + struct.unpack_from(">H", packet, 16)[0]]
            if len(self.first[tuple(ends)]) < 4096:
                self.first[tuple(ends)] += said

    def close(self):
        self.over.set()
        self.thread.join()
        self.socket.close()

    def heard(self, hello, targets):
        """What those who connected said, and what was answered, of each connection to one of these."""
        return [(said, self.first[target, source]) for (source, target), said in list(self.first.items())
                if target in targets and said.startswith(hello)]


def hmac_of(key, text):
    return hmac.digest(key, text, "sha256")


def token_in(pid, handshakes):
    """The run's token, as a debugger would find it in the memory of a process that holds it: what proves a handshake."""
    client, server = next((said, answer) for said, answer in handshakes
                          if len(said) >= HELLO_BYTES + PROOF_BYTES and len(answer) >= HELLO_BYTES)
    hellos, proof = client[:HELLO_BYTES] + server[:HELLO_BYTES], client[HELLO_BYTES:HELLO_BYTES + PROOF_BYTES]
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        start, end = next(line.split()[0].split("-") for line in maps if "[heap]" in line)
        memory.seek(int(start, 16))
        heap = memory.read(int(end, 16) - int(start, 16))
    return next(token for token in (heap[at:at + 32] for at in range(0, len(heap), 16))
                if hmac_of(hmac_of(token, hellos), b"client") == proof)


def tag_of(key, number, text):
    """GMAC, by OpenSSL."""
    crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
    for name in ("EVP_CIPHER_CTX_new", "EVP_aes_256_gcm"):
        getattr(crypto, name).restype = ctypes.c_void_p
    context, size, tag = ctypes.c_void_p(crypto.EVP_CIPHER_CTX_new()), ctypes.c_int(), ctypes.create_string_buffer(16)
    cipher = ctypes.c_void_p(crypto.EVP_aes_256_gcm())
    assert crypto.EVP_EncryptInit_ex(context, cipher, None, key, struct.pack("<Q4x", number)) == 1
    assert crypto.EVP_EncryptUpdate(context, None, ctypes.byref(size), text, len(text)) == 1
    assert crypto.EVP_EncryptFinal_ex(context, tag, ctypes.byref(size)) == 1
    assert crypto.EVP_CIPHER_CTX_ctrl(context, 0x10, 16, tag) == 1
    crypto.EVP_CIPHER_CTX_free(context)
    return tag.raw


class Stranger:
    """Tries one thing after another at an address until the run is over. `hello`: how an honest one begins there;
    `heard`: what honest ones have said to such addresses. A trick counts when it has connected and sent something."""

    def __init__(self, address, hello, heard, token):
        self.address, self.hello, self.heard, self.token = address, hello, heard, token
        self.is_rank = hello.startswith(RANK_HELLO)
        self.done, self.over, self.silent = collections.Counter(), threading.Event(), []
        self.thread = threading.Thread(target=self.work)

    def connect(self):
        peer = socket.create_connection(self.address, timeout=5)
        peer.settimeout(0.2)
        return peer

    def say(self, first, *parts):
        """Reads what comes back in between; to be thrown out after the first part is right."""
        with self.connect() as peer:
            peer.sendall(first)
            try:
                for part in (*parts, b""):
                    self.read(peer)
                    peer.sendall(part)
            except OSError:
                pass
        return True

    @staticmethod
    def read(peer):
        try:
            return peer.recv(1 << 16)
        except TimeoutError:
            return b""

    def garbage(self):
        return self.say(os.urandom(4096))

    def http(self):
        return self.say(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def oversized_lengths(self):
        return self.say(b"\xff" * 65536)

    def oversized_lengths_after_the_hello(self):
        return self.say(self.hello + os.urandom(32), b"\xff" * 65536)

    def wrong_version(self):
        version = {True: b"Cdrerh99", False: PROTOCOL + b"\xfe\xff\1"}[self.is_rank]
        return self.say(version + os.urandom(32), os.urandom(88))

    def wrong_proof(self):
        return self.say(self.hello + os.urandom(32), os.urandom(88))

    def reflection(self):
        with self.connect() as peer:
            peer.sendall(self.hello + os.urandom(32))
            peer.sendall(self.read(peer))
        return True

    def replay(self):
        said = [said for said, _ in self.heard()][:5]
        return said != [] and all([self.say(one) for one in said])

    def silence(self):
        self.silent.append(self.connect())
        return True

    def crowd(self):
        for one in [self.connect() for _ in range(20)]:
            one.close()
        return True

    def half_a_hello(self):
        return self.say(self.hello[:5])

    # From here on with the token.

    def talk(self, role, make):
        """`make(key)`: what is sent to the coordinator once it has proven itself. Waits until it throws us out."""
        with self.connect() as peer:
            peer.settimeout(20)
            hello = self.hello[:-1] + role + os.urandom(32)
            peer.sendall(hello)
            session = hmac_of(self.token, hello + peer.recv(HELLO_BYTES, socket.MSG_WAITALL))
            peer.sendall(hmac_of(session, b"client"))
            assert peer.recv(PROOF_BYTES, socket.MSG_WAITALL) == hmac_of(session, b"server")
            peer.sendall(make(hmac_of(session, b"frames of the client")))
            try:
                while peer.recv(1 << 16):
                    continue
            except ConnectionResetError:
                pass
        return True

    def malformed_frame(self):
        payload = b"\xff no message"
        head = struct.pack("<I", len(payload))
        return self.talk(b"\1", lambda key: head + tag_of(key, 0, head + payload) + payload)

    def malformed_bundle(self):
        payload = b"\xff" * 100
        head = struct.pack("<I", len(payload))
        return self.talk(b"\2", lambda key: head + tag_of(key, 0, head + payload) + payload)

    def oversized_frame(self):
        return self.talk(b"\1", lambda key: b"\xff" * 20)

    def repeated_frame(self):
        payload = b"\x0b"  # a heartbeat
        head = struct.pack("<I", len(payload))
        return self.talk(b"\1", lambda key: 2 * (head + tag_of(key, 0, head + payload) + payload))

    def claim(self, rank, incarnation):
        """True when it is refused by who holds the token."""
        with self.connect() as peer:
            peer.settimeout(20)
            hello = RANK_HELLO + os.urandom(32)
            peer.sendall(hello)
            said = hello + peer.recv(40, socket.MSG_WAITALL) + struct.pack("<7Q", rank, incarnation, 0, 1, 0, 0, 0)
            peer.sendall(said[80:] + hmac_of(self.token, b"claim" + said))
            answer = peer.recv(40, socket.MSG_WAITALL)
        return answer == (struct.pack("<Q", REFUSED) +
                          hmac_of(self.token, b"answer" + said + struct.pack("<Q", REFUSED)))

    def claim_of_nobody(self):
        return self.claim(99, 1)

    def claim_of_another_incarnation(self):
        return all([self.claim(rank, 7) for rank in range(4)])

    def tricks(self):
        with_token = {True: (self.claim_of_nobody, self.claim_of_another_incarnation),
                      False: (self.malformed_frame, self.malformed_bundle, self.oversized_frame, self.repeated_frame)}
        return (self.garbage, self.http, self.oversized_lengths, self.oversized_lengths_after_the_hello, self.wrong_version,
                self.wrong_proof, self.reflection, self.replay, self.silence, self.crowd, self.half_a_hello,
                *with_token[self.is_rank])

    def work(self):
        while not self.over.is_set():
            for trick in self.tricks():
                try:
                    self.done[trick.__name__] += trick()
                except OSError:
                    pass  # it was not even heard, and does not count
                if self.over.is_set():
                    break

    def missing(self):
        return [trick.__name__ for trick in self.tricks() if not self.done[trick.__name__]]

    def end(self):
        self.over.set()
        self.thread.join()
        for one in self.silent:
            one.close()
