"""Runs that ranks leave and come to while they go on, beside one that nobody disturbs."""

from in_folder import InFolder
from many_ranks import Scene
from program import DONE, cadre, read_lines, write_config

# With a pause in each, enough for processes to start, load and compute while the others train.
STEPS = 100


def slowly(rank, *more):
    """The environment in which this rank pauses at every step; `more` failpoints."""
    return {"CADRE_FAILPOINTS": ";".join([f"committed@*/{rank}=slow:50", *more])}


class ChangingRanks(InFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.scene = Scene(cls.folder)
        config, cls.undisturbed = cls.config("undisturbed")
        ended = cadre("train", config, "--ranks", 1)
        assert ended.code == DONE, ended.err

    @classmethod
    def config(cls, name, **more):
        run = cls.folder / name
        keys = cls.scene.lora(run, **{"max_steps": STEPS, "eval_steps": STEPS, "lora_r": 8, "lora_alpha": 8,
                                       "global_batch_size": 5, **more})
        return write_config(cls.folder / f"{name}.yaml", **keys), run

    def at_work(self, run):
        """The ranks that have computed micro-batches in the last view; a slow one may get none of a step's few."""
        last = self.events(run, "view")[-1]["view"]
        parts = [part for step in read_lines(run / "ledger.jsonl") for part in step["micro_batches"]]
        return {part["rank"] for part in parts if part["view"] == last}

    def events(self, run, name):
        return [line for line in read_lines(run / "journal.jsonl") if line["event"] == name]
