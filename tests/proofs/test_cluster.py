"""A short form of the proof `cluster`, without its target: a busy machine is no reason to fail."""

from proofs.cluster import prove


def test_the_cpu_time_of_a_command_is_measured_on_a_cluster_and_on_a_single_redis() -> None:
    figures = {each.name: each for each in prove(rounds=1, commands=64)}
    assert len(figures) == 15
    limited = {name: each.at_most for name, each in figures.items() if each.at_most}
    arrivals = ("300 a second", "2000 a second", "1 at once")
    assert limited == {f"cluster to single, {each}": 1.5 for each in arrivals}
    # At a rate, what waiting costs is subtracted: of 64 commands, little may be left.
    assert all(each.value > 0 for name, each in figures.items() if "at once" in name)
