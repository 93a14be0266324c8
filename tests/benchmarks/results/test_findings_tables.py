from pathlib import Path

import pytest

from benchmarks.results import findings_tables
from benchmarks.results.findings_tables import findings_table

HEAD = "row,student,teacher,split,targets,metric,mean,low,high,seeds,protocol\n"


def write_report(folder: Path, cold: str) -> None:
    (folder / "d.csv").write_text(
        f"{HEAD}"
        "CE,SASRec,,validation,all,NDCG@20,0.05,0.04,0.06,3,train\n"
        "CE,SASRec,,test,all,NDCG@20,0.04,0.03,0.05,3,train\n"
        "CE,SASRec,,test,all,NDCG@20,0.05,0.04,0.06,3,refit\n"
        "CE,SASRec,,test,all,HR@20,0.1,0.08,0.12,3,train\n"
        f"CE,SASRec,,test,{cold},HR@20,0.00004,-0.001,0.002,3,train\n"
    )


def test_a_row_has_the_figures_of_the_report_and_of_refits_where_it_has_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(findings_tables.ROWS, "d", (("CE", "SASRec", ""),))
    write_report(tmp_path, "cold")
    assert findings_table(tmp_path, "d").splitlines()[-1] == (
        "| CE | SASRec |  | 0.0500 | 0.0500 [0.0400, 0.0600] | 0.1000 [0.0800, 0.1200] "
        "| 0.0000 [-0.0010, 0.0020] | 3 |"
    )


def test_refits_count_wherever_they_stand_and_cold_targets_are_those_of_the_training_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refit names the cold targets of its own split `cold`, and those of training `cold-train`.

    Only the first 0.3 and the last 0.7 are of the targets that are cold without the refit.
    """
    monkeypatch.setitem(findings_tables.ROWS, "d", (("CE", "SASRec", ""),))
    (tmp_path / "d.csv").write_text(
        f"{HEAD}"
        "CE,SASRec,,test,all,NDCG@20,0.05,0.04,0.06,3,refit\n"
        "CE,SASRec,,test,cold-train,HR@20,0.3,0.2,0.4,3,refit\n"
        "CE,SASRec,,test,cold,HR@20,0.9,0.8,1.0,3,refit\n"
        "CE,SASRec,,validation,all,NDCG@20,0.05,0.04,0.06,3,train\n"
        "CE,SASRec,,test,all,NDCG@20,0.04,0.03,0.05,3,train\n"
        "CE,SASRec,,test,all,HR@20,0.1,0.08,0.12,3,train\n"
        "CE,SASRec,,test,cold,HR@20,0.7,0.6,0.8,3,train\n"
    )
    assert findings_table(tmp_path, "d").splitlines()[-1] == (
        "| CE | SASRec |  | 0.0500 | 0.0500 [0.0400, 0.0600] | 0.1000 [0.0800, 0.1200] "
        "| 0.3000 [0.2000, 0.4000] | 3 |"
    )


def test_a_row_that_a_report_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(findings_tables.ROWS, "d", (("CE", "SASRec", ""),))
    write_report(tmp_path, "warm")
    with pytest.raises(ValueError, match=r"d\.csv: no row 'CE' of student 'SASRec'"):
        findings_table(tmp_path, "d")
