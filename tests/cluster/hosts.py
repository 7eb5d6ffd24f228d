"""Hosts made of network namespaces on one bridge, each with an address and a host name of its own, and a remote shell
that runs a command in one. This machine is a further host, at the bridge's own address."""

import os
import pathlib
import secrets
import shutil
import subprocess
import threading


def why_not():
    """A sentence, where namespaces cannot be made here; else None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "unshare", "mpirun"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    probe = Hosts([])
    try:
        probe.make()
    except subprocess.CalledProcessError as error:
        return f"no network namespace or bridge can be made here: {error.stderr.decode().strip()}"
    finally:
        probe.remove()
    return None


class Hosts:
    """with Hosts(["a", "b"]) as hosts: addresses, and the environment in which mpirun and names reach them."""

    def __init__(self, names):
        self.names = names
        self.network = None  # its first three bytes, once it is made
        self.key = secrets.token_hex(3)  # interface names have 15 bytes

    def __enter__(self):
        try:
            self.make()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_):
        self.remove()

    def address(self, name):
        return f"{self.network}.{2 + self.names.index(name)}"

    def address_here(self):
        return f"{self.network}.1"

    def has(self, name, pid):
        """Whether this process runs on that host."""
        return os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(f"/run/netns/{self.namespace(name)}").st_ino

    def namespace(self, name):
        return f"cadre-{self.key}-{name}"

    def make(self):
        bridge = f"cb{self.key}"
        ip("link", "add", bridge, "type", "bridge")
        with CHOICE:
            self.network = unused_network()
            ip("addr", "add", f"{self.network}.1/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for name in self.names:
            space, outer = self.namespace(name), f"cv{self.key}{name}"
            ip("netns", "add", space)
            ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", outer, "master", bridge, "up")
            ip("-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "link", "set", "lo", "up")

    def remove(self):
        for name in self.names:
            ip("netns", "del", self.namespace(name), check=False)
            ip("link", "del", f"cv{self.key}{name}", check=False)  # where the namespace was not made
        ip("link", "del", f"cb{self.key}", check=False)

    def limit(self, name, rate):
        """The bytes a second that its cable carries, each way, as tc writes them: 400mbit."""
        shape = ["root", "tbf", "rate", rate, "burst", "256kb", "latency", "50ms"]
        tc("qdisc", "replace", "dev", f"cv{self.key}{name}", *shape)
        tc("-n", self.namespace(name), "qdisc", "replace", "dev", "eth0", *shape)

    def cut(self, name):
        """Takes the host's cable out."""
        ip("link", "set", f"cv{self.key}{name}", "down")

    def remote_shell(self, folder, hides=None, settings=None, knows_names=True):
        """A program for OMPI_MCA_plm_rsh_agent: `agent HOST COMMAND…`. `hides`: host -> folders that are empty there;
        `settings`: host -> NAME=VALUE of its environment; `knows_names`: hosts find each other by name."""
        names = pathlib.Path(folder) / f"hosts-{self.key}"  # by which they know each other
        names.write_text("127.0.0.1 localhost\n" + "".join(f"{self.address(name)} {name}\n" for name in self.names))
        cases = []
        for name in self.names:
            hide = f"mount --bind {names} /etc/hosts; " if knows_names else ""
            hide += "".join(f"mount -t tmpfs none '{hidden}'; " for hidden in (hides or {}).get(name, ()))
            environment = (settings or {}).get(name, "")
            cases.append(f"{self.address(name)})\n  exec env {environment} ip netns exec {self.namespace(name)} unshare --uts --mount "
                         f"sh -c \"hostname {name}; {hide}\"'exec sh -c \"$*\"' sh \"$@\" ;;")
        script = pathlib.Path(folder) / f"remote_shell-{self.key}"
        # As with ssh, this machine's settings do not count there (marks and failpoints are the tests'); a test may give
        # hosts a TMPDIR.
        script.write_text("#!/bin/sh\nhost=$1\nshift\nunset TMPDIR GOMP_SPINCOUNT ATEN_CPU_CAPABILITY MKL_CBWR "
                          "ONEDNN_MAX_CPU_ISA\n"
                          "[ -z \"$HOSTS_TMPDIR\" ] || export TMPDIR=\"$HOSTS_TMPDIR\"\ncase $host in\n" + "\n".join(cases) +
                          "\n*)\n  echo \"remote_shell: no host $host\" >&2\n  exit 255 ;;\nesac\n")
        script.chmod(0o755)
        return script


CHOICE = threading.Lock()


def unused_network():
    """By chance: other tests choose too, and a killed one leaves its bridge."""
    used = ip("-4", "addr").stdout.decode()
    return secrets.choice([network for network in (f"10.213.{number}" for number in range(256)) if f" {network}." not in used])


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, timeout=20)


def tc(*words):
    return subprocess.run(["tc", *words], check=True, capture_output=True, timeout=20)
