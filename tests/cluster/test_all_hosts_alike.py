"""Ranks on other hosts compute as those of the launch node do, however they were started."""

import pathlib
import tempfile
import unittest
from unittest import mock

from training import Training, program

from program import CADRE, DONE, USER_MUST_MEND, Live
from test_own_mpirun import MPI


def environment_of(pid):
    words = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


class AllHostsAlikeTest(Training):
    def own_mpirun(self, config, *options, **more):
        """`mpirun --host a:2,b:2 cadre train CONFIG`, typed here."""
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        agent = {"OMPI_MCA_plm_rsh_agent": str(self.hosts.remote_shell(folder, **more))}
        places = ",".join(f"{self.hosts.address(name)}:2" for name in ("a", "b"))
        command = ["mpirun", "--bind-to", "none", "--host", places, *options, "-n", "4", str(CADRE)]
        with mock.patch.dict(program.ENVIRONMENT, {**agent, **MPI}):
            return self.enterContext(Live("train", config, command=command))

    def test_the_instruction_pins_reach_all_hosts(self):
        config, run = self.config("pins")
        live = self.start(config, {"a": 1, "b": 2})
        self.wait_for_step(live, 2)
        for name in ("a", "b"):
            for pid in self.ranks_on(live, name):
                found = environment_of(pid)
                self.assertEqual({key: found.get(key) for key in program.SETTINGS if key != "GOMP_SPINCOUNT"},
                                 {key: value for key, value in program.SETTINGS.items() if key != "GOMP_SPINCOUNT"})
        self.check_end(live, run)

    def test_one_relay_a_host(self):
        config, run = self.config("relays")
        live = self.start(config, {"a": 2, "b": 3}, words=["--relay_above", "1"])
        self.wait_for_step(live, 2)
        self.assertEqual([len([pid for pid in live.processes("relay") if self.hosts.has(name, pid)])
                          for name in ("a", "b")], [1, 1])
        self.check_end(live, run)

    def test_a_users_own_mpirun(self):
        config, run = self.config("own")
        pins = [word for key in program.SETTINGS for word in ("-x", key)]
        self.check_end(self.own_mpirun(config, *pins), run, DONE)

    def test_a_users_own_mpirun_over_a_host_whose_name_nobody_knows(self):
        config, run = self.config("own-unknown")
        ended = self.own_mpirun(config, knows_names=False).end()
        self.assertEqual(ended.code, USER_MUST_MEND, ended.err)
        own = [line for line in ended.err.splitlines() if line.startswith("cadre: ")]
        self.assertEqual(len(own), 1, ended.err)
        self.assertRegex(own[0], "host b: .*name resolution|host b: .*not known")
        self.assertFalse(run.exists())

    def test_a_users_own_mpirun_with_other_pins_on_a_host(self):
        config, _ = self.config("own-unlike")
        ended = self.own_mpirun(config, settings={"b": "MKL_CBWR=COMPATIBLE"}).end()
        self.assertEqual(ended.code, USER_MUST_MEND, ended.err)
        self.assertRegex(ended.err, r"rank \d has instructions .* instead of .*; under an mpirun of your own, mpirun -x")
        self.assertIn("MKL_CBWR=COMPATIBLE ", ended.err)


if __name__ == "__main__":
    unittest.main()
