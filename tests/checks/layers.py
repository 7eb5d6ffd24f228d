"""The rules on who may include what: launch -> trainer -> comm -> runtime, and one home for each vendor's header."""

import pathlib
import re

LAYERS = ("runtime", "comm", "trainer", "launch")  # each may include itself and those before it

# What reads input builds without LibTorch, so that it compiles in seconds and can be fuzzed.
WITHOUT_TORCH = ("runtime/", "comm/", "launch/doctor", "launch/machine", "launch/status", "launch/child_process",
                 "launch/coordinator_process", "launch/island", "launch/launcher", "launch/listener", "launch/mpi_boot",
                 "launch/pinning", "launch/pipes", "launch/run_logs", "launch/supervisor", "trainer/config/",
                 "trainer/safetensors/", "trainer/model_folder/", "trainer/tokenizer/", "trainer/chat/",
                 "trainer/data/", "trainer/random/", "tests/fuzz/")
TORCH = re.compile(r"^(torch|ATen|c10|caffe2)/")

# header -> (folder, how many .cpp files there may include it)
HOMES = {
    re.compile(r"^mpi\.h$"): ("launch/", 2),
    re.compile(r"^(nccl|cuda_runtime|cuda_runtime_api)\.h$"): ("comm/", 2),
    re.compile(r"^yaml-cpp/"): ("trainer/config/", 2),
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
VAGUE_NAME = re.compile(r"^(utils?|common|helpers?|types)(\.|$)")


def includes(text):
    return [match.group(2) for match in INCLUDE.finditer(text)]


def violations(files):
    """files: path -> text. Returns a sentence a violation."""
    found = []
    users = {pattern: set() for pattern in HOMES}
    for path, text in sorted(files.items()):
        layer = path.split("/")[0]
        for part in path.split("/"):
            if VAGUE_NAME.match(part):
                found.append(f"{path}: a name that says what is in it, not \"{part}\"")
        for include in includes(text):
            target = include.split("/")[0]
            if layer in LAYERS and target in LAYERS and LAYERS.index(target) > LAYERS.index(layer):
                found.append(f"{path}: {layer} must not include {include}: the arrow only points down")
            if include.startswith("../") or "/../" in include:
                found.append(f"{path}: include {include} from the root of the repository")
            if include == "torch/torch.h" and path.endswith((".h", ".hpp")):
                found.append(f"{path}: torch/torch.h in a header costs every includer 25 s; ATen/core/Tensor.h does")
            if TORCH.match(include) and path.startswith(WITHOUT_TORCH):
                found.append(f"{path}: includes {include}, but this part builds without LibTorch")
            if TORCH.match(include) and path.startswith("tests/unit/") and not path.startswith("tests/unit/tensor/"):
                found.append(f"{path}: a test that needs LibTorch belongs in tests/unit/tensor/")
            for pattern, (home, _) in HOMES.items():
                if not pattern.match(include) or layer not in LAYERS:
                    continue
                if path.startswith(home) and path.endswith(".cpp"):
                    users[pattern].add(path)
                else:
                    found.append(f"{path}: {include} has its home in the .cpp files of {home}")
    for pattern, paths in users.items():
        home, limit = HOMES[pattern]
        if len(paths) > limit:
            found.append(f"{home}: {len(paths)} files include what {pattern.pattern} matches, {limit} may: {sorted(paths)}")
    return found


def read_tree(root):
    files = {}
    for folder in LAYERS + ("tests",):
        for path in pathlib.Path(root, folder).rglob("*"):
            if path.suffix in (".h", ".hpp", ".cpp"):
                files[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
    return files
