"""A test case whose tests share a folder, which goes with the last of them."""

import pathlib
import tempfile
import unittest


class InFolder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
