from benchmarks.measures.constant_rate import highest_rate


def step(rate: float, p99: float, failures: int = 0) -> dict[str, float]:
    return {"rate": rate, "p99": p99, "failures": failures}


def test_the_highest_rate_is_the_last_one_that_the_service_keeps_up_with() -> None:
    early = [step(500, 3), step(900, 19.9), step(1000, 20.1)]
    late = [step(500, 3), step(1100, 5), step(1200, 5, failures=1)]
    assert highest_rate([early, late]).runs == (900, 1100)


def test_a_service_that_keeps_up_with_nothing_has_no_rate() -> None:
    assert highest_rate([[step(500, 300)]]).runs == (0,)
