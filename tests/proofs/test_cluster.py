"""A short form of the proof `cluster`, without its target: a busy machine is no reason to fail."""

import os

import psutil

from proofs.cluster import prove
from proofs.cluster.awake import awake_cores
from proofs.fixtures.processes.waiting import wait_until


def test_the_cpu_time_of_a_command_is_measured_on_a_cluster_and_on_redis_without_one() -> None:
    figures = {each.name: each for each in prove(rounds=1, commands=64)}
    arrivals = ("300 a second", "2000 a second", "1 at once", "8 at once", "32 at once")
    limited = {name for name, each in figures.items() if each.at_most == 1.5}
    same_number = {f"cluster to three Redis, {each}" for each in arrivals}
    single = {f"cluster to one Redis, {each}" for each in ("300 a second", "1 at once")}
    assert limited == same_number | single
    assert len(figures) == 9 * len((*arrivals, "300 a second, cores asleep"))
    ends = ("cluster to one Redis, 1 at once: lower quartile", "cluster to one Redis, 1 at once")
    assert figures[ends[0]].value == figures[ends[1]].value  # there is one round
    # At a rate, what waiting costs is subtracted: of 64 commands, little may be left.
    assert all(each.value > 0 for name, each in figures.items() if "at once" in name)


def test_cores_are_kept_awake_by_processes_of_the_lowest_priority_which_end() -> None:
    others = psutil.Process().children()
    with awake_cores():
        awake = [each.pid for each in psutil.Process().children() if each not in others]
        assert len(awake) == len(os.sched_getaffinity(0))
        wait_until(lambda: {os.sched_getscheduler(each) for each in awake} == {os.SCHED_IDLE})
    assert psutil.Process().children() == others
