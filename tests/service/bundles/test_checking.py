"""A bundle whose graph hangs, grows or crashes costs a refusal, and the service goes on."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import anyio
import httpx
import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.contract.bundle import BundleError, BundleLayout
from export.contract.bundles_folder import BundleLink
from service.bundles import checking
from service.bundles.checking import BundleChecks
from tests.service.bundles.test_hot_swap import activate, ids, rollback, settings_of
from tests.service.conftest import PATIENCE_SECONDS, RING, Connect, ring_graph, save_ring_bundle
from tests.service.waiting import until

pytestmark = pytest.mark.anyio

SECONDS = 5


def endless(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Puts a loop that never ends before the answer."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["go_on_again"]),
            helper.make_node("Identity", ["value"], ["value_again"]),
        ],
        "body",
        inputs=[
            info("round", TensorProto.INT64, []),
            info("go_on", TensorProto.BOOL, []),
            info("value", TensorProto.INT64, [1]),
        ],
        outputs=[
            info("go_on_again", TensorProto.BOOL, []),
            info("value_again", TensorProto.INT64, [1]),
        ],
    )
    graph.graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    loop = helper.make_node("Loop", ["", "always", "k"], ["looped_k"], body=body)
    return before_the_answer(graph, [loop], "looped_k")


def huge(graph: onnx.ModelProto, num_bytes: int = 20 * 10**9) -> onnx.ModelProto:
    """Adds an intermediate value of 20 GB, or `num_bytes`, and one of eight times as many."""
    shape = numpy_helper.from_array(np.array([num_bytes]), "huge_shape")
    graph.graph.initializer.append(shape)
    byte = helper.make_tensor("byte", TensorProto.UINT8, [1], [1])
    nodes = [
        helper.make_node("ConstantOfShape", ["huge_shape"], ["huge"], value=byte),
        helper.make_node("Cast", ["huge"], ["numbers"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["numbers"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "k"], ["multiplied_k"]),
    ]
    return before_the_answer(graph, nodes, "multiplied_k")


def before_the_answer(
    graph: onnx.ModelProto, nodes: list[onnx.NodeProto], k: str
) -> onnx.ModelProto:
    """Puts nodes first; their output `k` is the number of items that is asked for."""
    old = list(graph.graph.node)
    for node in old:
        for place, name in enumerate(node.input):
            if name == "k":
                node.input[place] = k
    del graph.graph.node[:]
    graph.graph.node.extend([*nodes, *old])
    return graph


def crafted(folder: Path, change: Callable[[onnx.ModelProto], onnx.ModelProto]) -> Path:
    return save_ring_bundle(folder, change(ring_graph(len(RING))))


@pytest.fixture
def stamps(tmp_path: Path) -> Path:
    return tmp_path / "stamps"


@pytest.mark.parametrize(
    ("change", "seconds", "reason"),
    [
        (endless, SECONDS, r"not loaded and checked within 5 s \(LOAD_SECONDS\)"),
        (huge, PATIENCE_SECONDS, "alloc|memory|Memory|ended with exit code"),
    ],
)
def test_a_graph_that_never_ends_or_takes_all_memory_is_refused(
    tmp_path: Path,
    stamps: Path,
    change: Callable[[onnx.ModelProto], onnx.ModelProto],
    seconds: float,
    reason: str,
) -> None:
    folder = crafted(tmp_path / "crafted", change)
    with pytest.raises(BundleError, match=reason):
        BundleChecks(20, seconds, stamps).check(folder)
    assert not BundleChecks(20, seconds, stamps).has_passed(folder)


class Crashing(BundleChecks):
    """Checks by a child that crashes."""

    def _command(self, folder: Path) -> list[str]:
        assert folder.exists()
        return [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"]


class Cramped(BundleChecks):
    """Checks by a child in whose container 300 MiB are left."""

    def _command(self, folder: Path) -> list[str]:
        python, _, _, *arguments = super()._command(folder)
        program = (
            "import sys; from service.bundles import child; "
            "child.bytes_left = lambda: 300 << 20; child.main(sys.argv[1:])"
        )
        return [python, "-c", program, *arguments]


def test_a_graph_that_takes_more_memory_than_the_container_has_left_is_refused(
    tmp_path: Path, stamps: Path
) -> None:
    folder = crafted(tmp_path / "crafted", lambda graph: huge(graph, 50 * 10**6))
    with pytest.raises(BundleError, match=r"alloc|memory|Memory"):
        Cramped(20, PATIENCE_SECONDS, stamps).check(folder)
    BundleChecks(20, PATIENCE_SECONDS, stamps).check(folder)


def test_a_bundle_that_fits_into_what_the_container_has_left_passes(
    bundle_path: Path, stamps: Path
) -> None:
    Cramped(20, PATIENCE_SECONDS, stamps).check(bundle_path)


def test_a_crash_during_the_check_refuses_the_bundle(bundle_path: Path, stamps: Path) -> None:
    with pytest.raises(BundleError, match="its check ended with exit code -11"):
        Crashing(20, PATIENCE_SECONDS, stamps).check(bundle_path)


def test_a_bundle_that_passed_is_not_checked_again_on_this_machine(
    bundle_path: Path, stamps: Path
) -> None:
    BundleChecks(20, PATIENCE_SECONDS, stamps).check(bundle_path)
    Crashing(20, PATIENCE_SECONDS, stamps).check(bundle_path)
    with pytest.raises(BundleError, match="exit code"):
        Crashing(21, PATIENCE_SECONDS, stamps).check(bundle_path)


class Counting(BundleChecks):
    """Counts the children."""

    children = 0

    def _command(self, folder: Path) -> list[str]:
        self.children += 1
        return super()._command(folder)


async def test_many_checks_of_one_bundle_at_once_share_a_child(
    bundle_path: Path, stamps: Path
) -> None:
    checks = Counting(20, PATIENCE_SECONDS, stamps)
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(checks.check_async, bundle_path)
    assert checks.children == 1


class CountingCrashes(Crashing):
    """Counts the children, which crash. They start once `may_start` is set."""

    children = 0

    def __init__(self, stamps: Path) -> None:
        super().__init__(20, PATIENCE_SECONDS, stamps)
        self.may_start = anyio.Event()

    async def _check_in_child(self, folder: Path, key: str) -> None:
        await self.may_start.wait()
        self.children += 1
        await super()._check_in_child(folder, key)


async def test_checks_that_wait_for_one_that_refuses_the_bundle_share_its_refusal(
    bundle_path: Path, stamps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, calls = CountingCrashes(stamps), 10
    asked = Counter[str]()

    async def acquire(turn: asyncio.Lock) -> Literal[True]:
        asked["turn"] += 1
        if asked["turn"] == calls:
            checks.may_start.set()
        return await asyncio.Lock.acquire(turn)

    monkeypatch.setattr(checking._Turn, "acquire", acquire)
    outcomes = await asyncio.gather(
        *[checks.check_async(bundle_path) for _ in range(calls)], return_exceptions=True
    )
    assert {str(each) for each in outcomes} == {
        f"{bundle_path}: its check ended with exit code -11"
    }
    assert checks.children == 1


async def test_a_refused_bundle_is_checked_again_when_it_is_asked_for_again(
    bundle_path: Path, stamps: Path
) -> None:
    checks = CountingCrashes(stamps)
    checks.may_start.set()
    for _ in range(2):
        with pytest.raises(BundleError, match="exit code -11"):
            await checks.check_async(bundle_path)
    assert checks.children == 2


def test_a_folder_of_stamps_that_others_can_write_is_not_believed(
    bundle_path: Path, stamps: Path
) -> None:
    BundleChecks(20, PATIENCE_SECONDS, stamps).check(bundle_path)
    stamps.chmod(0o777)
    assert not BundleChecks(20, PATIENCE_SECONDS, stamps).has_passed(bundle_path)


def test_the_child_sees_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_KEY", "a-key-for-the-tests")
    assert "ADMIN_KEY" not in checking._environment()


def test_a_bundle_without_files_is_refused_without_a_child(tmp_path: Path, stamps: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json: missing"):
        Crashing(20, PATIENCE_SECONDS, stamps).check(tmp_path)
    assert not BundleLayout(tmp_path).manifest.exists()


async def test_while_an_endless_bundle_is_checked_the_service_answers_and_rolls_back(
    tmp_path: Path, connect: Connect
) -> None:
    link = BundleLink(tmp_path / "bundles" / "active")
    link.path.parent.mkdir()
    for name, scale in {"a": 1, "b": -1}.items():
        save_ring_bundle(link.folder(name), ring_graph(len(RING), scale))
    crafted(link.folder("endless"), endless)
    link.move("a")
    answered: list[httpx.Response] = []
    async with connect(settings_of(link.path, load_seconds=PATIENCE_SECONDS)) as client:
        assert (await activate(client, "b")).status_code == 200

        async def activate_endless() -> None:
            answered.append(await activate(client, "endless"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(activate_endless)
            await until(lambda: checks_of(psutil.Process()) != [])
            assert (await rollback(client)).json()["bundle"] == "a"
            assert await ids(client) == "def"
            assert not answered
            (check,) = checks_of(psutil.Process())
            check.kill()
        assert answered[0].status_code == 422
        assert "its check ended with exit code -9" in answered[0].json()["detail"]
        assert (await ids(client), link.bundle) == ("def", "a")


def checks_of(service: psutil.Process) -> list[psutil.Process]:
    """Returns the processes in which the service checks bundles."""
    return [each for each in service.children() if "service.bundles.child" in words_of(each)]


def words_of(process: psutil.Process) -> list[str]:
    """Returns the command line of a process; none of one that has just ended."""
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def test_a_check_ends_with_the_service_that_asked_for_it(tmp_path: Path, stamps: Path) -> None:
    folder = crafted(tmp_path / "endless", endless)
    program = (
        "from pathlib import Path; from service.bundles.checking import BundleChecks; "
        f"BundleChecks(20, 600, Path({str(stamps)!r})).check(Path({str(folder)!r}))"
    )
    service = psutil.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (checks := checks_of(service)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    service.kill()
    service.wait()
    _, alive = psutil.wait_procs(checks, timeout=PATIENCE_SECONDS)
    for each in alive:
        each.kill()
    assert alive == []
