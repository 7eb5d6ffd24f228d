"""What the real trainings over two hosts share: hosts, data, and the bits of one rank that nobody disturbs."""

import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import program  # noqa: E402
import tiny_base  # noqa: E402
from hosts import Hosts, why_not  # noqa: E402
from many_ranks import bits  # noqa: E402
from program import DATA, DONE, Live, cadre, marked, needs_data, wait_until, write_config  # noqa: E402

REASON = why_not()
STEPS = 30


@unittest.skipIf(REASON, REASON)
class OnHosts(unittest.TestCase):
    """`expected`: the bits of the undisturbed run."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))

    def setUp(self):
        self.hosts = self.enterContext(Hosts(["a", "b"]))

    def start(self, config, hosts, hides=None, words=(), environment=None):
        """`hosts`: ranks by name; `words`: more of the command."""
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        agent = {"OMPI_MCA_plm_rsh_agent": str(self.hosts.remote_shell(folder, hides))}
        with mock.patch.dict(program.ENVIRONMENT, agent):
            return self.enterContext(Live("train", config, "--hosts", ",".join(
                f"{self.hosts.address(name)}:{ranks}" for name, ranks in hosts.items()), *words,
                environment=environment))

    def wait_for_step(self, live, step):
        self.assertTrue(live.wait_for_line(rf"step {step}/"), live.lines)

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


@needs_data("stories260k_hf")
class Training(OnHosts):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
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
