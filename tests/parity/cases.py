"""One test method, many cases: each becomes a test with a name of its own."""

import functools


def each(*names):
    """Marks a method that takes the name of its case."""

    def mark(method):
        method.cases = names
        return method

    return mark


def expand(test_class):
    """Class decorator: replaces each marked method by one for each of its cases."""
    for name, method in list(vars(test_class).items()):
        for case in getattr(method, "cases", ()):
            bound = functools.partialmethod(method, case)
            setattr(test_class, f"{name}_{case}", bound)
        if hasattr(method, "cases"):
            delattr(test_class, name)
    return test_class
