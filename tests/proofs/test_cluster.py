"""A short form of the proof `cluster`, without its target: a busy machine is no reason to fail."""

from proofs.cluster import prove


def test_the_cpu_time_of_a_command_is_measured_on_a_cluster_and_on_a_single_redis() -> None:
    figures = {each.name: each for each in prove(rounds=1, commands=64)}
    assert len(figures) == 9
    assert figures["cluster to single, 1 at once"].at_most == 1.5
    assert all(each.value > 0 for each in figures.values())
