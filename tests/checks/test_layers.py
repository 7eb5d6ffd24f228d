import pathlib
import unittest

import layers

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Layers(unittest.TestCase):
    def test_no_forbidden_include(self):
        files = layers.read_tree(ROOT)
        self.assertGreater(len(files), 5)
        self.assertEqual([], layers.violations(files))

    def test_each_rule_catches_its_case(self):
        cases = [
            ("runtime/view.cpp", '#include "comm/tree.h"', "arrow"),
            ("trainer/run/loop.cpp", '#include "launch/main.h"', "arrow"),
            ("comm/tree.cpp", '#include "../runtime/error.h"', "from the root"),
            ("trainer/model/decoder.h", "#include <torch/torch.h>", "25 s"),
            ("comm/tree.cpp", "#include <ATen/core/Tensor.h>", "without LibTorch"),
            ("trainer/data/rows.cpp", "#  include <c10/util/Half.h>", "without LibTorch"),
            ("tests/unit/run/loop_test.cpp", "#include <torch/torch.h>", "tests/unit/tensor"),
            ("trainer/config/load.h", "#include <yaml-cpp/yaml.h>", "home"),
            ("launch/main.cpp", "#include <yaml-cpp/yaml.h>", "home"),
            ("comm/tcp.cpp", "#include <mpi.h>", "home"),
            ("trainer/model/gpu.cpp", "#include <cuda_runtime.h>", "home"),
            ("trainer/data/utils.h", "", "name"),
            ("trainer/common/rows.h", "", "name"),
        ]
        for path, text, expected in cases:
            with self.subTest(path=path, text=text):
                found = layers.violations({path: text})
                self.assertEqual(1, len(found), found)
                self.assertIn(expected, found[0])

    def test_a_home_has_two_files_at_most(self):
        files = {f"launch/boot_{n}.cpp": "#include <mpi.h>\n#include <mpi.h>" for n in range(3)}
        self.assertEqual(1, len(layers.violations(files)))
        del files["launch/boot_0.cpp"]
        self.assertEqual([], layers.violations(files))

    def test_what_is_allowed(self):
        files = {
            "launch/main.cpp": '#include "trainer/run/loop.h"\n#include "runtime/error.h"',
            "trainer/model/decoder.cpp": '#include <torch/torch.h>\n#include "comm/tree.h"',
            "trainer/config/load.cpp": "#include <yaml-cpp/yaml.h>",
            "tests/unit/tensor/decoder_test.cpp": "#include <torch/torch.h>",
            "runtime/typeset.cpp": "",
        }
        self.assertEqual([], layers.violations(files))
