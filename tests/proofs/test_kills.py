"""A short form of `python -m proofs kills`."""

from proofs.kills import prove


def test_a_prepare_that_was_killed_completes_in_the_next_run_with_the_same_files() -> None:
    figures = list(prove(kills=1, seed=3, stages=("prepare",)))
    assert len(figures) == 2
    assert all(each.holds for each in figures)
