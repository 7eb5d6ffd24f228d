"""Peak resident memory of a rank (VmHWM) in full fine-tuning of 14 million parameters, by zero_stage and number of
ranks: `python3 tests/bench/rank_memory.py`. A rank holds values and gradients whole (55 MiB each), its part of the
rest."""

import pathlib
import tempfile

import ranked_runs


def main():
    with tempfile.TemporaryDirectory(prefix="cadre-memory-") as scratch:
        folder = pathlib.Path(scratch)
        ranked_runs.write_inputs(folder)
        print(f"{'ranks':>5} {'stage 1, MiB':>14} {'stage 2, MiB':>14}", flush=True)
        for ranks in (1, 2, 4):
            peaks = [max(ranked_runs.run(folder, f"stage-{stage}", ranks, zero_stage=stage, state_copies=1, max_steps=4,
                                         micro_batch_size=1, save_steps=1000).peaks)
                     for stage in (1, 2)]
            print(f"{ranks:>5} " + " ".join(f"{peak / 2**20:>14.0f}" for peak in peaks), flush=True)


if __name__ == "__main__":
    main()
