"""A short form of `python -m proofs soak`."""

from proofs.soak import Sample, grown, prove


def test_swaps_and_restarts_of_redis_under_load_make_no_error_and_leave_nothing_open() -> None:
    figures = {
        each.name: each for each in prove(minutes=0.2, rate=60, swap_seconds=3, restart_seconds=4)
    }
    assert figures["answers"].value > 5
    assert figures["errors and lost connections"].value == 0
    assert figures["swaps"].value >= 1
    assert figures["restarts of Redis"].value >= 1
    assert figures["descriptors: growth"].holds
    assert figures["connections: growth"].holds


def test_growth_leaves_out_the_first_fifth_in_which_caches_fill() -> None:
    memory = [10, 50, 50, 50, 50, 50, 50, 50, 57, 57]
    samples = [Sample(each, 0, 0, 0) for each in memory]
    assert grown(samples, "memory_mib") == 7
