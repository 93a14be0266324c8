import json
import re
from pathlib import Path

import pytest

from proofs.epoch import prove
from proofs.epoch.agents import lost_agent
from proofs.prepare import MILLIONS, PER_ITEM, PER_USER
from proofs.record import FOLDER


def test_an_epoch_of_each_size_has_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proofs.epoch.lost_agent", lambda _: [])

    figures = list(prove(millions=(0.02,), plot=tmp_path / "epoch.png"))

    assert [each.name for each in figures] == [
        f"0.02 million interactions: {name}"
        for name in (
            "peak resident memory",
            "peak private memory",
            "time",
            "processor time",
            "predicted interactions a second of one core",
        )
    ]
    assert all(each.holds for each in figures)
    assert (tmp_path / "epoch.png").stat().st_size > 0


@pytest.mark.slow
def test_the_agent_that_is_left_ends_and_one_process_goes_on_to_the_same_loss() -> None:
    figures = list(lost_agent(seed=1, rows=20_000))

    assert len(figures) == 4
    assert all(each.holds for each in figures)


def test_the_table_of_scale_is_that_of_the_record() -> None:
    figures = json.loads((FOLDER / "epoch.json").read_text(encoding="utf-8"))["figures"]
    values = {each["name"]: each["value"] for each in figures}
    lines = (FOLDER.parent / "scale.md").read_text(encoding="utf-8").splitlines()
    told = [re.sub(r"[`,|]| GiB", "", line).split() for line in lines if "| `distill` |" in line]

    def measured(millions: int) -> list[str]:
        of = f"{millions} million interactions: "
        rate = values[of + "predicted interactions a second of one core"]
        return [
            "distill",
            str(millions),
            str(millions * 1_000_000 // PER_USER),
            str(millions * 1_000_000 // PER_ITEM),
            f"{values[of + 'peak resident memory']:.2f}",
            f"{values[of + 'peak private memory']:.2f}",
            f"{values[of + 'processor time'] / 60:.1f}",
            f"{round(rate, -2):.0f}",
        ]

    assert told == [measured(each) for each in MILLIONS]
