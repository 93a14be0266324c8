from pathlib import Path

import pytest

from distilled_recommender import files
from distilled_recommender.files import BUNDLE, KNOWLEDGE, MOVIELENS, TERMS, carried, lay_out

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", [BUNDLE, KNOWLEDGE, MOVIELENS, TERMS])
def test_a_checkout_has_every_carried_file_in_its_place(path: Path) -> None:
    assert carried(path) == ROOT / path
    assert carried(path).exists()


def test_an_installed_package_has_them_beside_its_modules(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(files, "_HERE", tmp_path / "distilled_recommender")

    assert files.checkout() is None
    assert carried(TERMS) == tmp_path / "distilled_recommender" / "files" / TERMS


def test_files_are_laid_out_once_and_changes_to_them_stay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert lay_out(MOVIELENS)
    assert lay_out(KNOWLEDGE)
    assert MOVIELENS.read_bytes() == (ROOT / MOVIELENS).read_bytes()
    assert {path.name for path in KNOWLEDGE.iterdir()} == {
        path.name for path in (ROOT / KNOWLEDGE).iterdir()
    }
    MOVIELENS.write_text("changed")
    assert not lay_out(MOVIELENS)
    assert MOVIELENS.read_text() == "changed"
