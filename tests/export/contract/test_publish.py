import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from export.contract import bundles_folder
from export.contract.addresses.place import place_of
from export.contract.bundle import (
    Bundle,
    BundleError,
    BundleLayout,
    Item,
    copy_bundle,
    load_bundle,
)
from export.contract.bundles_folder import BundleLink, publish, publish_first
from export.contract.publish import main
from tests.export.contract.small_bundle import save_small_bundle

# Publishes and dies, as by `kill -9`, before the given step that touches the folder of bundles.
KILLED_PUBLISH = """
import os, sys
from pathlib import Path
from export.contract.bundles_folder import publish

bundle, folder, steps_left = sys.argv[1], sys.argv[2], int(sys.argv[3])
writes = {"open", "os.mkdir", "os.rename", "os.symlink", "os.remove", "shutil.copyfile"}

def step(event, arguments):
    global steps_left
    if event in writes and any(str(each).startswith(folder) for each in arguments):
        if steps_left == 0:
            os._exit(9)
        steps_left -= 1

sys.addaudithook(step)
publish(Path(bundle), Path(folder))
"""


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    return tmp_path / "bundles"


def test_a_published_bundle_is_a_whole_copy_behind_the_link(tmp_path: Path, bundles: Path) -> None:
    version = save_small_bundle(tmp_path / "bundle", "Up")
    link = publish(tmp_path / "bundle", bundles)
    assert (link.path, link.bundle, link.previous) == (bundles / "active", version, None)
    BundleLayout(tmp_path / "bundle").model.unlink()
    assert load_bundle(link.path).folder == bundles / version


def test_processes_that_publish_a_first_bundle_at_once_leave_one_and_nothing_else(
    tmp_path: Path, bundles: Path
) -> None:
    version = save_small_bundle(tmp_path / "bundle", "Up")
    program = [sys.executable, "-m", "export.contract.publish", "--first"]
    started = [
        subprocess.Popen([*program, tmp_path / "bundle", bundles], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    printed = {each.communicate()[0].decode() for each in started}
    assert printed == {f"{bundles}/active is {version}\n"}
    assert {each.name for each in bundles.iterdir()} == {version, "active"}


def test_processes_that_publish_one_bundle_at_once_all_succeed_and_leave_nothing_else(
    tmp_path: Path, bundles: Path
) -> None:
    version = save_small_bundle(tmp_path / "bundle", "Up")
    program = [sys.executable, "-m", "export.contract.publish"]
    for _ in range(5):
        started = [
            subprocess.Popen([*program, tmp_path / "bundle", bundles], stdout=subprocess.DEVNULL)
            for _ in range(4)
        ]
        assert [each.wait() for each in started] == [0, 0, 0, 0]
        assert {each.name for each in bundles.iterdir()} == {version, "active"}
        shutil.rmtree(bundles)


def test_a_bundle_that_is_replaced_while_it_is_copied_is_not_published_under_its_old_name(
    tmp_path: Path, bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_small_bundle(tmp_path / "bundle", "Up")

    def replace_and_copy(bundle: Bundle, target: Path) -> None:
        save_small_bundle(tmp_path / "bundle", "Down")
        copy_bundle(bundle, target)

    monkeypatch.setattr(bundles_folder, "copy_bundle", replace_and_copy)
    with pytest.raises(BundleError, match="replaced while it was published; publish it again"):
        publish(tmp_path / "bundle", bundles)
    assert not list(bundles.iterdir())


def test_a_rollback_to_a_bundle_that_was_removed_is_refused_and_the_link_stays(
    tmp_path: Path, bundles: Path
) -> None:
    one = save_small_bundle(tmp_path / "one", "Up")
    two = save_small_bundle(tmp_path / "two", "Down")
    for bundle in ("one", "two"):
        publish(tmp_path / bundle, bundles)
    shutil.rmtree(bundles / one)
    with pytest.raises(BundleError, match=rf"{one}/manifest\.json: missing"):
        place_of(str(bundles)).roll_back()
    assert BundleLink(bundles / "active").bundle == two


def test_a_first_bundle_changes_nothing_where_another_is_active(
    tmp_path: Path, bundles: Path
) -> None:
    active = save_small_bundle(tmp_path / "one", "Up")
    publish(tmp_path / "one", bundles)
    save_small_bundle(tmp_path / "two", "Down")
    assert publish_first(tmp_path / "two", bundles).bundle == active
    assert {each.name for each in bundles.iterdir()} == {active, "active"}


def test_the_bundles_folder_may_be_moved_as_a_whole(tmp_path: Path, bundles: Path) -> None:
    version = save_small_bundle(tmp_path / "bundle", "Up")
    publish(tmp_path / "bundle", bundles)
    moved = bundles.rename(tmp_path / "elsewhere")
    assert load_bundle(moved / "active").manifest.model_version == version


def test_the_link_remembers_the_bundle_before_until_it_is_moved_again(
    tmp_path: Path, bundles: Path
) -> None:
    link = BundleLink(bundles / "active")
    one, two = (
        save_small_bundle(tmp_path / "one", "Up"),
        save_small_bundle(tmp_path / "two", "Down"),
    )
    for bundle in ("one", "two", "two"):
        publish(tmp_path / bundle, bundles)
    assert (link.bundle, link.previous) == (two, one)
    link.move(one)
    assert (link.bundle, link.previous) == (one, two)
    assert {each.name for each in bundles.iterdir()} == {one, two, "active", ".active.previous"}


def test_a_damaged_bundle_is_not_published(tmp_path: Path, bundles: Path) -> None:
    version = save_small_bundle(tmp_path / "one", "Up")
    save_small_bundle(tmp_path / "two", "Down")
    link = publish(tmp_path / "one", bundles)
    BundleLayout(tmp_path / "two").items.write_text("")
    with pytest.raises(BundleError, match=r"two/items\.jsonl"):
        publish(tmp_path / "two", bundles)
    assert link.bundle == version


def test_a_damaged_copy_is_replaced(tmp_path: Path, bundles: Path) -> None:
    save_small_bundle(tmp_path / "bundle", "Up")
    link = publish(tmp_path / "bundle", bundles)
    BundleLayout(link.path).items.write_text("")
    publish(tmp_path / "bundle", bundles)
    assert load_bundle(link.path).items == (Item("up", "Up"),)


@pytest.mark.slow
def test_a_kill_at_any_step_leaves_the_old_bundle_or_the_new_one_behind_the_link(
    tmp_path: Path, bundles: Path
) -> None:
    one, two = (
        save_small_bundle(tmp_path / "one", "Up"),
        save_small_bundle(tmp_path / "two", "Down"),
    )
    link = publish(tmp_path / "one", bundles)
    found = set()
    for steps in count():
        arguments = [str(tmp_path / "two"), str(bundles), str(steps)]
        run = subprocess.run([sys.executable, "-c", KILLED_PUBLISH, *arguments], check=False)
        assert run.returncode in (0, 9)
        found.add(load_bundle(link.path).manifest.model_version)
        if run.returncode == 0:
            break
    assert steps > 5
    assert found == {one, two}
    assert (link.bundle, link.previous) == (two, one)


def test_the_program_publishes_and_prints_the_active_bundle(
    tmp_path: Path, bundles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = save_small_bundle(tmp_path / "bundle", "Up")
    assert main([str(tmp_path / "bundle"), str(bundles)]) == 0
    assert capsys.readouterr().out == f"{bundles}/active is {version} now\n"
    assert main([str(tmp_path / "nothing"), str(bundles)]) == 2
    assert "nothing/manifest.json: missing" in capsys.readouterr().err
