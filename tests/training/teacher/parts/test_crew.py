"""Several processes that complete the same shards through one store."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from export.contract.addresses.object_store import (
    LostRaceError,
    ObjectStore,
    Stored,
    StoreError,
)
from tests.conftest import TIMEOUT_SECONDS
from training.errors import ConfigError, ShardError
from training.teacher.llm.shards import Cost, Shard
from training.teacher.parts.crew import Crew, join_crew
from training.teacher.parts.part import Part, parse_part
from training.teacher.parts.shard_store import name_of

if TYPE_CHECKING:
    from tests.conftest import S3

TAKEOVER_SECONDS = 0.3


class Killed(BaseException):
    """Ends a run at once, as a signal would."""


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, s3: "S3") -> str:
    return str(tmp_path / "store") if request.param == "folder" else f"{s3.new_bucket()}/teaching"


def shards_in(folder: Path, count: int = 4) -> list[Shard[int]]:
    folder.mkdir(parents=True, exist_ok=True)
    return [Shard(folder / f"titles-{index:05d}.npy", [[index]], [7]) for index in range(count)]


def shards_of(folder: Path, who: str) -> list[Shard[int]]:
    """Returns the shards as `who` has them, each process in a folder of its own."""
    return shards_in(folder / who / "content")


def computing(done: list[str], killed_at: int | None = None) -> Callable[[Shard[Any]], None]:
    """Returns a function that computes a shard and notes its name; the process may be killed."""

    def compute(shard: Shard[Any]) -> None:
        if len(done) == killed_at:
            raise Killed
        shard.path.write_bytes(shard.path.name.encode())
        shard.write_ledger(Cost(7, 1.5))
        done.append(shard.path.stem)

    return compute


def run(crew: Crew, shards: list[Shard[int]], done: list[str]) -> list[str]:
    return [shard.path.stem for shard in crew.complete(shards, computing(done))]


def joined(place: str, part: str | None, takeover_seconds: float = TIMEOUT_SECONDS) -> Crew:
    return join_crew(place, parse_part(part) if part else None, takeover_seconds)


def test_a_part_begins_with_every_nth_shard_and_then_helps_from_the_end(tmp_path: Path) -> None:
    shards = shards_in(tmp_path, 7)
    assert [shards.index(each) for each in Part(2, 3).ordered(shards)] == [1, 4, 6, 5, 3, 2, 0]


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/2/3", "-1/3", "a/b", "1/99999999"])
def test_a_part_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"--part {text}: expected i/n"):
        parse_part(text)


def test_a_shard_is_computed_once_and_its_result_reaches_who_makes_the_knowledge(
    place: str, tmp_path: Path
) -> None:
    done: dict[str, list[str]] = {"1/2": [], "2/2": [], "all": []}
    for part in ("1/2", "2/2"):
        stems = run(joined(place, part), shards_of(tmp_path, part[0]), done[part])
        assert sorted(stems) == [f"titles-0000{index}" for index in range(4)]
    whole = shards_of(tmp_path, "all")
    assert run(joined(place, None), whole, done["all"])
    assert (len(done["1/2"]), done["2/2"], done["all"]) == (4, [], [])
    assert [shard.path.read_bytes() for shard in whole] == [
        shard.path.name.encode() for shard in whole
    ]
    assert whole[0].cost.seconds == 1.5
    assert not any(shard.path.exists() for shard in shards_of(tmp_path, "2"))  # parts fetch nothing


def test_two_living_processes_never_compute_the_same_shard(place: str, tmp_path: Path) -> None:
    first, second = joined(place, "1/2"), joined(place, "2/2")
    done: list[str] = []
    others: list[str] = []

    def compute(shard: Shard[Any]) -> None:  # the other one works meanwhile
        if not others:
            run_until_waiting(second, shards_of(tmp_path, "second"), others)
        computing(done)(shard)

    assert len(list(first.complete(shards_of(tmp_path, "first"), compute))) == 4
    assert sorted(done + others) == [f"titles-0000{index}" for index in range(4)]
    assert len(others) == 3


def run_until_waiting(crew: Crew, shards: list[Shard[int]], done: list[str]) -> None:
    found: Iterator[Shard[Any]] = crew.complete(shards, computing(done))
    for _ in range(3):
        next(found)


def test_the_shard_of_a_killed_process_is_computed_by_another_after_the_takeover_time(
    place: str, tmp_path: Path
) -> None:
    killed, survivor = (joined(place, part, TAKEOVER_SECONDS) for part in ("1/2", "2/2"))
    lost: list[str] = []
    with pytest.raises(Killed):
        list(killed.complete(shards_of(tmp_path, "1"), computing(lost, killed_at=1)))
    assert lost == ["titles-00000"]
    done: list[str] = []
    began = time.monotonic()
    run(survivor, shards_of(tmp_path, "2"), done)
    assert time.monotonic() - began >= TAKEOVER_SECONDS
    assert done == ["titles-00001", "titles-00003", "titles-00002"]  # the claimed one comes last


def test_a_part_that_is_started_again_does_not_wait_for_its_own_claim(
    place: str, tmp_path: Path
) -> None:
    part = parse_part("1/1")
    with pytest.raises(Killed):
        list(
            join_crew(place, part, TIMEOUT_SECONDS).complete(
                shards_of(tmp_path, "1"), computing([], 0)
            )
        )
    done: list[str] = []
    run(join_crew(place, part, TIMEOUT_SECONDS), shards_of(tmp_path, "1"), done)
    assert len(done) == 4


def test_shards_that_one_machine_had_before_are_shared_and_not_computed_again(
    place: str, tmp_path: Path
) -> None:
    shards = shards_of(tmp_path, "1")
    for shard in shards[:3]:
        computing([])(shard)
    done: list[str] = []
    run(joined(place, "1/1"), shards, done)
    assert done == ["titles-00003"]
    run(joined(place, None), shards_of(tmp_path, "all"), done)
    assert done == ["titles-00003"]


@pytest.mark.parametrize("part", ["1/1", None])
@pytest.mark.parametrize("damage", ["missing", "torn"])
def test_a_local_result_that_is_missing_or_damaged_is_computed_again_and_not_shared(
    damage: str, part: str | None, tmp_path: Path
) -> None:
    shards, place, done = shards_of(tmp_path, "1"), str(tmp_path / "store"), list[str]()
    for shard in shards:
        computing([])(shard)
    shards[1].path.unlink() if damage == "missing" else shards[1].path.write_bytes(b"tit")
    run(joined(place, part), shards, done)
    assert done == ["titles-00001"]
    others = shards_of(tmp_path, "all")
    run(joined(place, None), others, done)
    assert done == ["titles-00001"]
    assert others[1].path.read_bytes() == b"titles-00001.npy"


def test_a_result_that_the_disk_damages_at_once_is_named_and_not_computed_for_ever(
    tmp_path: Path,
) -> None:
    def compute(shard: Shard[Any]) -> None:
        computing([])(shard)
        shard.path.write_bytes(b"")

    crew = joined(str(tmp_path / "store"), "1/1")
    with pytest.raises(ShardError, match=r"titles-00000\.npy: damaged once it was written"):
        list(crew.complete(shards_of(tmp_path, "1"), compute))


def test_a_claim_is_renewed_while_its_shard_is_computed(place: str) -> None:
    claims = joined(place, "1/2", TAKEOVER_SECONDS).claims
    with claims.claimed("content/long") as has_claim:
        assert has_claim
        versions: set[str | None] = {None}
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while len(versions) < 4 and time.monotonic() < deadline:
            found = claims.objects.read("content/long.claim", 4_096)
            versions.add(found.version if found else None)
    assert len(versions) == 4


def test_a_claim_that_another_process_has_taken_over_is_not_taken_back(tmp_path: Path) -> None:
    claims = joined(str(tmp_path / "store"), "1/2", TAKEOVER_SECONDS).claims
    before = threading.enumerate()
    with claims.claimed("content/long"):
        (renewing,) = [each for each in threading.enumerate() if each not in before]
        taken = take_over(claims.objects, "content/long.claim")
        while renewing.is_alive() and content_of(claims.objects, "content/long.claim") == taken:
            time.sleep(0.01)
    assert content_of(claims.objects, "content/long.claim") == taken


def take_over(objects: ObjectStore, name: str) -> bytes:
    """Writes the claim of another process, though the present one is renewed; returns it."""
    claim = json.dumps({"part": "2/2", "token": "another"}).encode()
    while True:
        found = objects.read(name, 4_096)
        with suppress(LostRaceError):
            objects.replace(name, claim, found.version if found else None)
            return claim


def content_of(objects: ObjectStore, name: str) -> bytes:
    found = objects.read(name, 4_096)
    assert found is not None
    return found.content


def test_a_claim_is_renewed_again_after_a_store_that_did_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = joined(str(tmp_path / "store"), "1/2", TAKEOVER_SECONDS).claims
    lost = threading.Event()
    read = claims.objects.read

    def read_once_lost(name: str, at_most: int) -> Stored | None:
        if not lost.is_set():
            lost.set()
            raise StoreError("no answer")
        return read(name, at_most)

    with claims.claimed("content/long"):
        first = content_of(claims.objects, "content/long.claim")
        monkeypatch.setattr(claims.objects, "read", read_once_lost)
        assert lost.wait(TIMEOUT_SECONDS)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while content_of(claims.objects, "content/long.claim") == first:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_shard_that_another_completes_just_before_the_claim_is_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path / "store")
    ours, theirs = (shards_of(tmp_path, who)[:1] for who in ("ours", "theirs"))
    crew, other = joined(place, None), joined(place, "2/2")
    claim = crew.claims.objects.replace

    def claim_after_another_completes(name: str, content: bytes, expected: str | None) -> None:
        if not theirs[0].ledger.exists():
            theirs[0].path.write_bytes(b"theirs")
            theirs[0].write_ledger(Cost(7, 1.5))
            other.store.publish(theirs[0])
        claim(name, content, expected)

    monkeypatch.setattr(crew.claims.objects, "replace", claim_after_another_completes)
    done: list[str] = []
    assert run(crew, ours, done) == ["titles-00000"]
    assert (done, crew.computed) == ([], 0)
    assert ours[0].path.read_bytes() == b"theirs"


def test_of_two_results_the_first_counts_for_everyone(place: str, tmp_path: Path) -> None:
    ours, theirs = (shards_of(tmp_path, who)[0] for who in ("ours", "theirs"))
    for shard, content in ((ours, b"first"), (theirs, b"second")):
        shard.path.write_bytes(content)
        shard.write_ledger(Cost(7, 1.5))
    first, second = joined(place, None), joined(place, None)
    first.store.publish(ours)
    second.store.publish(theirs)
    run(second, [theirs], [])
    assert theirs.path.read_bytes() == b"first"


def test_work_in_other_shards_has_other_names(tmp_path: Path) -> None:
    path = tmp_path / "content" / "titles-00000.npy"
    assert name_of(Shard(path, [[1], [2]], [7, 8])) != name_of(Shard(path, [[1, 2]], [15]))


def test_a_damaged_result_is_refused_and_names_what_to_delete(tmp_path: Path) -> None:
    place = tmp_path / "store"
    run(joined(str(place), "1/1"), shards_of(tmp_path, "1"), [])
    (result, *_) = sorted(place.glob("content/titles-00000-*.npy"))
    result.write_bytes(b"torn")
    shards = shards_of(tmp_path, "all")
    with pytest.raises(ShardError, match=r"damaged \(its SHA-256 .*; delete content/titles-00000"):
        run(joined(str(place), None), shards, [])
    assert not shards[0].path.exists()


def test_a_damaged_ledger_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "store"
    run(joined(str(place), "1/1"), shards_of(tmp_path, "1"), [])
    (ledger,) = place.glob("content/titles-00000-*.json")
    for content in ("[]", "{", '{"cost": 1}'):
        ledger.write_text(content)
        with pytest.raises(ShardError, match="damaged"):
            run(joined(str(place), None), shards_of(tmp_path, "all"), [])


def test_a_torn_ledger_of_a_process_is_replaced_by_that_of_the_store(tmp_path: Path) -> None:
    place, done = str(tmp_path / "store"), list[str]()
    shards = shards_of(tmp_path, "all")
    run(joined(place, None), shards, done)
    whole = shards[1].ledger.read_bytes()
    shards[1].ledger.write_bytes(whole[:10])

    run(joined(place, None), shards, done)

    assert shards[1].ledger.read_bytes() == whole
    assert len(done) == len(shards)  # none was computed again


def test_a_store_that_cannot_be_opened_is_named() -> None:
    with pytest.raises(ShardError, match="gopher"):
        join_crew("gopher://shop", None, TAKEOVER_SECONDS)


def test_a_store_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file in the place of the folder")
    with pytest.raises(ShardError, match="store"):
        run(joined(str(tmp_path / "store"), "1/1"), shards_of(tmp_path, "1"), [])
    assert not list(tmp_path.rglob("*.json"))  # nothing was computed


def test_the_ledger_has_the_hash_of_the_result(tmp_path: Path) -> None:
    place = tmp_path / "store"
    shards = shards_of(tmp_path, "1")
    crew = joined(str(place), "1/1")
    run(crew, shards, [])
    entry = crew.store.entry(shards[0])
    assert entry
    assert entry.sha256 == hashlib.sha256(b"titles-00000.npy").hexdigest()
    assert (entry.part, entry.cost.tokens) == ("1/1", 7)
