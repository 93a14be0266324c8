from benchmarks.measures.constant_rate import Step, highest_rate, repeated_rates, sweep


def step(rate: float, p99: float, failures: int = 0) -> dict[str, float]:
    return {"rate": rate, "p99": p99, "failures": failures}


def test_the_highest_rate_is_the_last_one_that_the_service_keeps_up_with() -> None:
    early = [step(500, 3), step(900, 19.9), step(1000, 20.1)]
    late = [step(500, 3), step(1100, 5), step(1200, 5, failures=1)]
    assert highest_rate([early, late]).runs == (900, 1100)


def test_a_service_that_keeps_up_with_nothing_has_no_rate() -> None:
    assert highest_rate([[step(500, 300)]]).runs == (0,)


def sweep_of(*p99s: float) -> list[Step]:
    """Returns a sweep of the rates 500, 900 and 1000, whose attempts have these p99s in order."""
    ahead = iter(p99s)
    return sweep(lambda rate: step(rate, next(ahead)), (500, 900, 1000))


def test_a_stall_at_one_rate_does_not_end_a_sweep_and_is_told() -> None:
    stalled = sweep_of(300, 3, 5, 19)
    assert [each["rate"] for each in stalled] == [500, 500, 900, 1000]
    assert highest_rate([stalled]).runs == (1000,)
    assert repeated_rates([stalled]).runs == (1,)


def test_a_rate_that_is_missed_twice_ends_a_sweep() -> None:
    missed = sweep_of(3, 21, 22)
    assert [each["rate"] for each in missed] == [500, 900, 900]
    assert highest_rate([missed]).runs == (500,)
    assert repeated_rates([missed]).runs == (0,)
