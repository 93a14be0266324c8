from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.results.ranking_figures import RankingFigures

REFITTED_HEAD = "row,student,protocol,split,targets,metric,mean,low,high"
HEAD = "row,student,teacher,split,targets,metric,mean,low,high"
LINES = (
    "teacher titles,,titles,validation,all,NDCG@20,0.0300,0.02,0.04",
    "teacher retrieval,,retrieval,validation,all,NDCG@20,0.0200,0.01,0.03",
    "DLLM2Rec,SASRec,titles,test,all,NDCG@20,0.05,0.041,0.06004",
    "DLLM2Rec,SASRec,retrieval,test,all,NDCG@20,0.09,0.08,0.10",
    "DLLM2Rec,SASRec,titles,test,cold,NDCG@20,0.01,0.0,0.02",
    "DLLM2Rec,SASRec,titles,test,all,HR@20,0.2,0.1,0.3",
)


def report_of(lines: Sequence[str], folder: Path) -> Path:
    path = folder / "data.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def figures(tmp_path: Path) -> RankingFigures:
    return RankingFigures(report_of([HEAD, *LINES], tmp_path))


def test_a_cell_has_the_figure_over_all_targets_with_the_first_teacher(
    figures: RankingFigures,
) -> None:
    assert figures.cell("DLLM2Rec", "SASRec") == "0.0500 [0.0410, 0.0600]"


def test_validation_chooses_the_best_teacher(figures: RankingFigures) -> None:
    assert figures.best_teacher() == "teacher titles"


def test_validation_chooses_the_best_baseline_of_refits_too(tmp_path: Path) -> None:
    lines = [
        REFITTED_HEAD,
        "CE,SASRec,refit,test,all,NDCG@20,0.04,0.03,0.05",
        "VMIS-kNN,,train,validation,all,NDCG@20,0.06,0.05,0.07",
        "VMIS-kNN,,refit,test,all,NDCG@20,0.01,0.01,0.02",
        "last-item,,train,validation,all,NDCG@20,0.05,0.04,0.06",
        "last-item,,refit,test,all,NDCG@20,0.02,0.01,0.03",
        "control title neighbours,,train,validation,all,NDCG@20,0.07,0.06,0.08",
    ]
    path = report_of(lines, tmp_path)

    assert RankingFigures(path).best_baseline() == "VMIS-kNN"


def test_a_missing_row_is_named(figures: RankingFigures) -> None:
    with pytest.raises(ValueError, match="no row 'CE' of student 'SASRec'"):
        figures.cell("CE", "SASRec")


def test_figures_are_those_of_refits_where_students_were_refitted(tmp_path: Path) -> None:
    lines = [
        REFITTED_HEAD,
        "CE,SASRec,train,test,all,NDCG@20,0.03,0.02,0.04",
        "VMIS-kNN,,train,test,all,NDCG@20,0.05,0.04,0.06",
        "VMIS-kNN,,refit,test,all,NDCG@20,0.06,0.05,0.07",
        "teacher titles,,train,test,all,NDCG@20,0.01,0.0,0.02",
    ]
    path = report_of(lines, tmp_path)
    assert RankingFigures(path).cell("VMIS-kNN") == "0.0500 [0.0400, 0.0600]"

    lines.append("CE,SASRec,refit,test,all,NDCG@20,0.04,0.03,0.05")
    figures = RankingFigures(report_of(lines, tmp_path))

    assert figures.cell("CE", "SASRec") == "0.0400 [0.0300, 0.0500]"
    assert figures.cell("VMIS-kNN") == "0.0600 [0.0500, 0.0700]"
    assert figures.cell("teacher titles") == "0.0100 [0.0000, 0.0200]"
    before = RankingFigures(path, refits=False)
    assert before.cell("CE", "SASRec") == "0.0300 [0.0200, 0.0400]"
    assert before.cell("VMIS-kNN") == "0.0500 [0.0400, 0.0600]"


def test_a_students_cell_is_of_the_first_row_that_the_report_has(figures: RankingFigures) -> None:
    rows = ("DLLM2Rec with pair bonus", "DLLM2Rec")
    assert figures.student_cell(rows, "SASRec") == figures.cell("DLLM2Rec", "SASRec")
