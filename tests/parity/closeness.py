"""How far two results are apart, and assertions on it that say where."""

import torch


def distance(ours, theirs):
    """Largest absolute difference over two lists of tensors; infinite where they cannot be compared."""
    if len(ours) != len(theirs) or any(a.shape != b.shape for a, b in zip(ours, theirs)):
        return float("inf")
    difference = torch.cat([(a.double() - b.double()).abs().flatten() for a, b in zip(ours, theirs)])
    return float("inf") if difference.isnan().any() else difference.max().item()


def root_mean_square(ours, theirs):
    return (torch.cat(ours).double() - torch.cat(theirs).double()).square().mean().sqrt().item()


def relative(ours, theirs):
    """‖ours − theirs‖ / ‖theirs‖ of one tensor; what is 0 there must be 0 here."""
    if ours.shape != theirs.shape or ours.isnan().any():
        return float("inf")
    norm = theirs.double().norm().item()
    difference = (ours.double() - theirs.double()).norm().item()
    return difference / norm if norm > 0 else float("inf") if difference > 0 else 0.0


def assert_close(test, ours, theirs, tolerance, what):
    """Lists of tensors, by the largest absolute difference."""
    found = distance(ours, theirs)
    if found <= tolerance:
        return
    test.assertEqual([t.shape for t in ours], [t.shape for t in theirs], what)
    apart = [f"{index}: {distance([a], [b]):.2e}" for index, (a, b) in enumerate(zip(ours, theirs))]
    test.fail(f"{what}: max abs {found:.2e} > {tolerance:.0e} ({', '.join(apart)})")


def assert_same_names(test, ours, theirs, what):
    test.assertEqual(sorted(ours), sorted(theirs), f"{what}: other tensors")


def assert_relatively_close(test, ours, theirs, tolerance, what):
    """Dictionaries of tensors, each by its own norm."""
    assert_same_names(test, ours, theirs, what)
    apart = {name: relative(ours[name], theirs[name]) for name in theirs}
    bad = sorted(((value, name) for name, value in apart.items() if not value <= tolerance), reverse=True)
    test.assertFalse(bad, f"{what}: {len(bad)} of {len(apart)} tensors differ by more than {tolerance:.0e}: "
                     + ", ".join(f"{name} {value:.1e}" for value, name in bad[:4]))
