from benchmarks.load.clicks import Click
from benchmarks.load.turns import take_turns
from benchmarks.load.workloads import SERVICE
from benchmarks.measures.gains import (
    ONE_AT_A_TIME,
    THROUGH_FASTAPI,
    TOGETHER,
    figures,
    past_the_lane,
)


def test_ways_take_turns_and_are_compared_round_by_round() -> None:
    taken: list[str] = []

    def way(name: str, costs: list[float]) -> float:
        taken.append(name)
        return costs.pop(0)

    together, slow, alone = [100.0, 50.0], [150.0, 100.0], [300.0, 100.0]
    costs = take_turns(
        {
            TOGETHER: lambda: way("a", together),
            THROUGH_FASTAPI: lambda: way("b", slow),
            ONE_AT_A_TIME: lambda: way("c", alone),
        },
        rounds=2,
    )

    assert taken == ["a", "b", "c", "c", "b", "a"]
    assert [(each.name, each.unit, each.runs) for each in figures(costs)] == [
        (TOGETHER, "µs CPU", (100, 50)),
        (THROUGH_FASTAPI, "µs CPU", (150, 100)),
        (ONE_AT_A_TIME, "µs CPU", (300, 100)),
        (f"{THROUGH_FASTAPI}, over {TOGETHER}", "times", (1.5, 2)),
        (f"{ONE_AT_A_TIME}, over {TOGETHER}", "times", (3, 2)),
    ]


def test_a_request_past_the_lane_differs_in_the_encoding_of_its_path_alone() -> None:
    click = Click("regular-7", "B000000001")
    request = past_the_lane(click)
    assert request.startswith(b"POST /v1/sessions/regular%2D7/events?k=20 ")
    assert request.replace(b"%2D", b"-") == SERVICE.request_of(click)
