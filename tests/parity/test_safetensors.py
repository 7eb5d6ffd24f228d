"""Our safetensors reader and writer against the safetensors library, in both directions."""

import hashlib
import json
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBE = pathlib.Path(os.environ.get("CADRE_BUILD", ROOT / "build")) / "probe_safetensors"

DTYPES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
}


def probe(*arguments):
    return subprocess.run([PROBE, *arguments], capture_output=True, text=True, timeout=60)


def raw(tensor):
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def sample():
    generator = torch.Generator().manual_seed(7)
    tensors = {}
    for dtype in DTYPES:
        values = torch.randint(0, 2, (3, 5), generator=generator)
        tensors[f"some.{dtype}".replace("torch.", "")] = values.to(dtype)
    tensors["scalar"] = torch.tensor(1.5)
    tensors["empty"] = torch.zeros(0, 4, dtype=torch.bfloat16)
    tensors["odd"] = torch.arange(7, dtype=torch.uint8)
    tensors['näme "quoted" \\ \n'] = torch.ones(2, dtype=torch.float16)
    return tensors


class Safetensors(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def test_reads_what_the_library_writes(self):
        tensors = sample()
        path = self.folder / "theirs.safetensors"
        save_file(tensors, path, metadata={"format": "pt", "ключ": "значение"})
        result = probe("read", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(lines.pop()["metadata"], {"format": "pt", "ключ": "значение"})
        self.assertEqual({line["name"] for line in lines}, set(tensors))
        for line in lines:
            tensor = tensors[line["name"]]
            self.assertEqual(line["dtype"], DTYPES[tensor.dtype])
            self.assertEqual(line["shape"], list(tensor.shape))
            self.assertEqual(line["sha256"], hashlib.sha256(raw(tensor)).hexdigest())

    def test_the_library_reads_what_we_write(self):
        tensors = sample()
        theirs, ours, again = (self.folder / f"{name}.safetensors" for name in ("theirs", "ours", "again"))
        save_file(tensors, theirs, metadata={"format": "pt"})
        for source, path in ((theirs, ours), (ours, again)):
            result = probe("copy", source, path)
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(ours.read_bytes(), again.read_bytes())
        with safe_open(ours, "pt") as file:
            self.assertEqual(file.metadata(), {"format": "pt"})
        loaded = load_file(ours)
        self.assertEqual(set(loaded), set(tensors))
        for name, tensor in tensors.items():
            self.assertEqual(loaded[name].dtype, tensor.dtype)
            self.assertTrue(torch.equal(loaded[name], tensor), name)

    def test_both_refuse_the_same_files(self):
        def file(header, data=b""):
            text = header if isinstance(header, bytes) else json.dumps(header).encode()
            return struct.pack("<Q", len(text)) + text + data

        tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
        bad = {
            "empty": b"",
            "cut length": b"\x01\x00",
            "no header": struct.pack("<Q", 100),
            "huge header": struct.pack("<Q", 1 << 40) + b"{}",
            "no JSON": file(b"{"),
            "not an object": file([]),
            "size": file({"a": tensor}, b"1234"),
            "trailing": file({"a": tensor}, b"123456789"),
            "overlap": file({"a": tensor, "b": tensor}, b"12345678"),
            "hole": file({"a": tensor, "b": tensor | {"data_offsets": [12, 20]}}, b"1" * 20),
            "negative": file({"a": tensor | {"shape": [-2]}}, b"12345678"),
            "overflow": file({"a": tensor | {"shape": [1 << 62, 1 << 62]}}, b"12345678"),
            "unknown dtype": file({"a": tensor | {"dtype": "F33"}}, b"12345678"),
            "backwards": file({"a": tensor | {"data_offsets": [8, 0]}}, b"12345678"),
            "metadata of numbers": file({"__metadata__": {"a": 1}, "b": tensor}, b"12345678"),
        }
        for name, content in bad.items():
            with self.subTest(name):
                path = self.folder / "bad.safetensors"
                path.write_bytes(content)
                with self.assertRaises(Exception):
                    load_file(path)
                result = probe("read", path)
                self.assertEqual(result.returncode, 2, result.stdout)
                self.assertIn(str(path), result.stderr)


if __name__ == "__main__":
    unittest.main()
