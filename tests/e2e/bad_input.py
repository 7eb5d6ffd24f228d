"""A scene for one mistake: a base model, rows and a configuration that work, of which a case spoils one thing."""

import dataclasses
import hashlib
import json
import pathlib
import unittest

import tiny_base
from program import USER_MUST_MEND, cadre, read_json
from tiny_base import lora


class Scene:
    def __init__(self, folder):
        self.folder = folder
        self.base = tiny_base.write_base(folder / "base")
        self.rows = tiny_base.write_jsonl(folder / "rows.jsonl", tiny_base.rows(12))
        self.output = folder / "run"
        self.keys = lora("base", "run", "rows.jsonl", max_steps=2, global_batch_size=4)
        self.text = None  # the configuration as it is written, in place of the keys
        self.options = []
        self.words = None  # another command than `train`

    def dataset(self, **keys):
        """Changes the one dataset; a key that is None is left out."""
        dataset = {**self.keys["datasets"][0], **keys}
        self.keys["datasets"] = [{key: value for key, value in dataset.items() if value is not None}]

    def set_rows(self, content, name="rows.jsonl", **keys):
        content = content if isinstance(content, bytes) else content.encode()
        (self.folder / name).write_bytes(content)
        self.dataset(path=name, **keys)

    def edit(self, name, change):
        """A JSON file of the base as `change`, which returns the new object or changes the old one, makes it."""
        path = self.base / name
        value = read_json(path)
        changed = change(value)
        path.write_text(json.dumps(value if changed is None else changed))

    def set_tensors(self, change):
        tensors = tiny_base.random_tensors()
        change(tensors)
        (self.base / "model.safetensors").write_bytes(tiny_base.safetensors(tensors))

    def set_header(self, change):
        """The weights' header as `change` makes it, a string or an object, before the same data."""
        blob = (self.base / "model.safetensors").read_bytes()
        header = tiny_base.read_header(blob)
        data = blob[8 + int.from_bytes(blob[:8], "little"):]
        changed = change(header)
        value = header if changed is None else changed
        text = value if isinstance(value, str) else json.dumps(value)
        (self.base / "model.safetensors").write_bytes(len(text.encode()).to_bytes(8, "little") + text.encode() + data)

    def run(self):
        if self.words is None:
            text = json.dumps(self.keys, indent=1) if self.text is None else self.text
            (self.folder / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
            words = ["train", "config.yaml", "--quiet", *self.options]
        else:
            words = self.words
        return cadre(*words, folder=self.folder)

    def inputs(self):
        """Path to hash of all that is not the run's."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            if self.output == path or self.output in path.parents or path.name == "config.yaml":
                continue
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        return found


@dataclasses.dataclass
class Case:
    name: str
    spoil: object
    parts: tuple
    code: int = USER_MUST_MEND
    # A mistake that only shows when the rows are read: run.json then says that the run failed, and why.
    begun: bool = False


class Table:
    """The cases of a file, in its order."""

    def __init__(self):
        self.cases = []

    def case(self, *parts, begun=False, code=USER_MUST_MEND):
        def add(function):
            self.cases.append(Case(function.__name__, function, parts, code, begun))
            return function
        return add

    def add(self, name, spoil, *parts, begun=False, code=USER_MUST_MEND):
        self.cases.append(Case(name, spoil, parts, code, begun))


def check(test: unittest.TestCase, case: Case, folder: pathlib.Path):
    scene = Scene(folder)
    case.spoil(scene)
    before = scene.inputs()
    ended = scene.run()
    where = f"{case.name}: exit code {ended.code}, stderr:\n{ended.err}"
    test.assertEqual(ended.code, case.code, where)
    test.assertEqual(ended.err.count("\n"), 1, where)
    test.assertTrue(ended.err.startswith("cadre: "), where)
    test.assertLess(len(ended.err), 1200, where)
    for part in case.parts:
        test.assertIn(part, ended.err, where)
    for trace in ("terminate called", "internal check failed", "std::", "basic_string", "c10", "Exception"):
        test.assertNotIn(trace, ended.err, where)
    test.assertEqual(ended.out, "", where)
    test.assertEqual(scene.inputs(), before, f"{case.name}: inputs were changed")
    if not case.begun:
        test.assertFalse(scene.output.exists(), where)
        return
    record = read_json(scene.output / "run.json")
    test.assertEqual(record["status"], "failed", where)
    test.assertEqual(record["reason"], ended.err[len("cadre: "):-1])
    test.assertFalse((scene.output / "adapter_model.safetensors").exists(), where)


def install(table: Table, test_class, scratch):
    """A test method a case. `scratch` gives the folder that the class may write in."""
    for index, case in enumerate(table.cases):
        def method(self, case=case, index=index):
            check(self, case, scratch() / f"{index:03}")
        name = f"test_{case.name}"
        assert not hasattr(test_class, name), name
        method.__name__ = name
        setattr(test_class, name, method)
