import time

from benchmarks.load.cpu_time import cpu_us


def test_waiting_is_not_counted_as_work() -> None:
    costs = cpu_us({"sleep": lambda: time.sleep(0.005), "nothing": lambda: None}, num_blocks=1)
    assert costs["sleep"] < 5_000
    assert costs.keys() == {"sleep", "nothing"}
