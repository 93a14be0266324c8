"""Tables of the report, computed from handwritten ranks."""

from dataclasses import replace

import numpy as np
import pytest

from training.data.dataset import Dataset, Split
from training.evaluation.row_names import CE_ROW, COLD_ROW, DISTILLED_ROW
from training.evaluation.yardstick import Evaluation
from training.ladder.plan.rows import NEIGHBOURS_ROW, TITLES_ROW
from training.ladder.report.markdown import as_report
from training.ladder.results.measured import Figures, Measured
from training.ladder.results.part_gains import part_gains
from training.ladder.runs.store import RunFacts


@pytest.fixture(autouse=True)
def two_users_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.intervals.FEWEST_USERS", 2)


def line(row: str, dataset: Dataset, warm: int, cold: int, student: str = "SASRec") -> Measured:
    """A line of one run: the ranks of the warm and the cold test target; validation has `warm`."""
    evaluation = Evaluation(dataset.example_rows(Split.TEST), np.array([warm, cold]))
    rows = dataset.example_rows(Split.VALIDATION)
    validation = Evaluation(rows, np.full(len(rows), warm))
    facts = RunFacts("a student", 1.0, "a machine", ["abc"], best_epoch=4, cold_bonus=1.5)
    return Measured(
        row,
        {Split.VALIDATION: [validation], Split.TEST: [evaluation]},
        train_seconds=1.0,
        student=student,
        num_trials=2,
        settings={"rate": 0.5} if student else {},
        runs=[facts],
    )


def report(dataset: Dataset) -> list[str]:
    """The report of four lines; rank 1 is an NDCG of 1, rank 3 an NDCG of 1 / log2(4) = 0.5."""
    lines = [
        line(TITLES_ROW, dataset, warm=0, cold=0, student=""),
        line(CE_ROW, dataset, warm=3, cold=0),
        line(DISTILLED_ROW, dataset, warm=1, cold=0),
        line(COLD_ROW, dataset, warm=3, cold=1),
    ]
    return as_report(lines, Figures(dataset, num_draws=100), {}, "tiny").splitlines()


def cold_cells(dataset: Dataset) -> list[list[str]]:
    """Rows of DLLM2Rec without and with the bonus in the table of cold targets."""
    text = report(dataset)
    table = text[text.index("## Cold targets") + 6 :][:2]
    return [
        [cell.split()[0] if cell.strip() else "" for cell in row.split("|")[1:-1]] for row in table
    ]


def test_gains_on_cold_targets_are_shown_beside_losses_on_warm_ones(tiny_dataset: Dataset) -> None:
    without, with_bonus = cold_cells(tiny_dataset)
    # Validation does not hold item e, so figures of cold targets and of new ones are equal.
    assert without[4:] == [*["0.0000", "+0.0000"] * 2, "+100.0%", ""]  # not compared with itself
    assert with_bonus[4:] == [*["1.0000", "+1.0000"] * 2, "+0.0%", "-50.0%"]


def test_a_report_of_rankers_without_a_hit_has_no_number_that_is_none(
    tiny_dataset: Dataset,
) -> None:
    rows = ((TITLES_ROW, ""), (CE_ROW, "SASRec"), (DISTILLED_ROW, "SASRec"))
    lines = [line(row, tiny_dataset, 0, 0, student) for row, student in rows]
    text = as_report(lines, Figures(tiny_dataset, num_draws=100), {}, "tiny")
    assert "nan" not in text
    assert (
        "| the whole method | DLLM2Rec over CE |  | +0.0000 [+0.0000, +0.0000] | undefined |"
        in text
    )


def test_a_cold_item_that_validation_holds_is_not_counted_as_new(
    tiny_dataset: Dataset,
) -> None:
    items = tiny_dataset.item_indices.copy()
    items[3] = 5  # ann's validation item is e now
    met = replace(tiny_dataset, item_indices=items)
    assert "1 of the cold ones are new" in "\n".join(report(tiny_dataset))
    assert "0 of the cold ones are new" in "\n".join(report(met))
    assert cold_cells(met)[1][4:] == ["1.0000", "+1.0000", "", "", "+0.0%", "-50.0%"]


def test_figures_of_new_targets_exclude_other_cold_ones_and_use_the_teachers_own_titles(
    tiny_dataset: Dataset,
) -> None:
    items, splits = tiny_dataset.item_indices.copy(), tiny_dataset.splits.copy()
    items[10], splits[10] = 4, Split.TEST  # cay's d is cold, and ann's validation item: not new
    dataset = replace(tiny_dataset, item_indices=items, splits=splits)
    rows = dataset.example_rows(Split.TEST)  # a, e and d: warm, new, and cold but not new

    def ranked(row: str, *ranks: int, teacher: str = "retrieval") -> Measured:
        student = "" if row == TITLES_ROW else "SASRec"
        by_hand = line(row, tiny_dataset, warm=1, cold=0, student=student)
        found = {**by_hand.evaluations, Split.TEST: [Evaluation(rows, np.array(ranks))]}
        return replace(by_hand, evaluations=found, teacher=teacher)

    lines = [
        ranked(TITLES_ROW, 0, 15, 0),
        ranked(TITLES_ROW, 0, 0, 0, teacher="titles"),
        ranked(CE_ROW, 1, 0, 3, teacher=""),
        ranked(COLD_ROW, 1, 1, 1),
    ]
    text = as_report(lines, Figures(dataset, num_draws=100), {}, "tiny").splitlines()
    start = text.index("## Cold targets")
    assert text[start + 2].startswith("1 of the cold ones are new")
    headings = [each.strip() for each in text[start + 4].split("|")[1:-1]]
    over = f"over {TITLES_ROW}"
    assert headings[3:8] == [f"{CE_ROW} cold HR@20", "cold HR@20", over, "new HR@20", over]
    assert headings[8:] == [f"warm NDCG@20 over {each}" for each in (CE_ROW, DISTILLED_ROW)]
    cells = [each.split()[0] for each in text[start + 6].split("|")[4:-2]]
    assert cells == ["0.5000", "1.0000", "+0.5000", "1.0000", "+0.0000", "+0.0%"]
    against = text[start + 12 :][:2]  # HR@1, 5, 10, 20: of e and d it finds both, titles one, none
    ahead = [[each.split()[0] for each in row.split("|")[5:-2]] for row in against]
    assert ahead[0] == ["retrieval", "+1.0000", "+1.0000", "+1.0000", "+0.5000"]
    assert ahead[1] == ["titles", *["+1.0000"] * 4]


def test_the_validation_figure_comes_before_the_test_figures(tiny_dataset: Dataset) -> None:
    text = [each for each in report(tiny_dataset) if each.startswith(f"| {CE_ROW} |")]
    assert text[0].startswith(f"| {CE_ROW} |  | 0.5000 | 0.2500 [")


def test_chosen_settings_are_shown_with_trials_epochs_and_bonuses(tiny_dataset: Dataset) -> None:
    chosen = [each for each in report(tiny_dataset) if "rate = 0.5" in each]

    assert chosen[0] == f"| SASRec | {CE_ROW} |  | 2 | rate = 0.5 | 4 |  |"
    assert chosen[-1] == f"| SASRec | {COLD_ROW} |  | 2 | rate = 0.5 | 4 | 1.5 |"


def test_a_part_has_a_gain_for_every_teacher_and_no_row_is_compared_with_another_teachers(
    tiny_dataset: Dataset,
) -> None:
    baseline = line(CE_ROW, tiny_dataset, warm=3, cold=0)
    first, second, bonus = (
        replace(line(row, tiny_dataset, warm=rank, cold=0), teacher=teacher)
        for row, rank, teacher in (
            (DISTILLED_ROW, 1, "retrieval"),
            (DISTILLED_ROW, 0, "titles"),
            (COLD_ROW, 1, "titles"),
        )
    )
    found = part_gains(
        "SASRec", [baseline, first, second, bonus], Figures(tiny_dataset, num_draws=100)
    )

    # of one warm and one cold target, the mean: CE 0.25, retrieval 0.5, titles 0 and 0.5
    assert [(step.part, step.teacher, step.difference.mean) for step in found] == [
        ("the whole method", "retrieval", 0.25),
        ("the bonus of cold items", "titles", 0.5),
        ("the whole method", "titles", -0.25),
    ]


def test_teachers_are_compared_with_each_other_once_and_students_with_all(
    tiny_dataset: Dataset,
) -> None:
    lines = [
        line("teacher titles", tiny_dataset, warm=3, cold=0, student=""),
        line("teacher generative", tiny_dataset, warm=0, cold=0, student=""),
        line(CE_ROW, tiny_dataset, warm=1, cold=0),
        line(COLD_ROW, tiny_dataset, warm=1, cold=1),
    ]
    text = as_report(lines, Figures(tiny_dataset, num_draws=1), {}, "tiny").splitlines()
    table = text[text.index("## Against teachers and neighbours") + 6 :][:5]
    found = [[cell.split(" [")[0].strip() for cell in row.split("|")[1:-1]] for row in table]
    # validation, all of it of the warm rank: titles 0.5, generative 0, the students 1
    # test, the mean of one warm and one cold: titles 0.25, generative 0, CE 0.5, with bonus 1
    assert found == [
        ["teacher generative", "", "teacher titles", "-0.5000", "-0.2500"],
        ["SASRec CE", "", "teacher titles", "+0.5000", "+0.2500"],
        ["SASRec CE", "", "teacher generative", "+1.0000", "+0.5000"],
        [f"SASRec {COLD_ROW}", "", "teacher titles", "+0.5000", "+0.7500"],
        [f"SASRec {COLD_ROW}", "", "teacher generative", "+1.0000", "+1.0000"],
    ]


def report_of_three_teachers(dataset: Dataset) -> list[str]:
    """The report of students of three teachers, of which two have no seed in common."""
    taught = (
        (CE_ROW, 1, 1, "SASRec", "", (0,)),
        (DISTILLED_ROW, 3, 0, "SASRec", "titles", (0,)),
        (DISTILLED_ROW, 1, 3, "SASRec", "retrieval", (0,)),
        (DISTILLED_ROW, 3, 3, "SASRec", "generative", (1,)),
        (COLD_ROW, 1, 1, "SASRec", "titles", (0,)),
        (COLD_ROW, 3, 0, "SASRec", "retrieval", (0,)),
        ("ranking only", 3, 3, "SASRec", "titles", (0,)),
        ("ranking only", 1, 3, "SASRec", "retrieval", (0,)),
        (DISTILLED_ROW, 1, 1, "Caser", "retrieval", (0,)),
    )
    lines = [
        replace(line(row, dataset, warm, cold, student), teacher=teacher, seeds=seeds)
        for row, warm, cold, student, teacher, seeds in taught
    ]
    return as_report(lines, Figures(dataset, num_draws=1), {}, "tiny").splitlines()


def test_a_student_of_one_teacher_is_compared_with_the_same_student_of_an_earlier_teacher(
    tiny_dataset: Dataset,
) -> None:
    text = report_of_three_teachers(tiny_dataset)
    table = text[text.index("## What another teacher is worth") + 6 :]
    rows = table[: table.index("")]
    # of one warm and one cold target, the mean: 0.75 and 0.25, then 0.25 and 1; of the warm one
    # 1 and 0.5, then 0.5 and 1
    assert [[cell.split(" [")[0].strip() for cell in row.split("|")[1:-1]] for row in rows] == [
        [
            *("SASRec", DISTILLED_ROW, "retrieval", "titles", "1"),
            *("+0.5000", "+200.0%", "+100.0%", "helps"),
        ],
        [
            *("SASRec", COLD_ROW, "retrieval", "titles", "1"),
            *("-0.7500", "-75.0%", "-50.0%", "**hurts**"),
        ],
    ]


def test_a_teacher_that_taught_no_better_is_listed_under_what_was_not_shown(
    tiny_dataset: Dataset,
) -> None:
    text = report_of_three_teachers(tiny_dataset)
    not_shown = text[text.index("## What was not shown") :]
    assert [row.split(" (")[0] for row in not_shown if "taught by" in row and "over" in row] == [
        f"- SASRec: {COLD_ROW} taught by retrieval, over titles, hurts"
    ]


def test_a_teacher_that_answered_a_part_has_its_number_of_examples_and_no_figure_for_the_rest(
    tiny_dataset: Dataset,
) -> None:
    whole = line("teacher titles", tiny_dataset, warm=1, cold=0, student="")
    rows = tiny_dataset.example_rows(Split.TEST)[:1]  # the warm one
    part = {**whole.evaluations, Split.TEST: [Evaluation(rows, np.array([1]))]}
    partial = replace(whole, row="teacher generative", evaluations=part)
    text = as_report([whole, partial], Figures(tiny_dataset, num_draws=1), {}, "tiny")
    cells = [
        [cell.split(" [")[0].strip() for cell in row.split("|")[4:-3]]
        for row in text.splitlines()
        if row.startswith(("| teacher titles", "| teacher generative"))
    ]
    assert cells[0] == ["0.5000", "0.5000", "1.0000", "0.0000", "2", "1"]
    assert cells[1] == ["1.0000", "1.0000", "1.0000", "", "1", "1"]


def test_a_student_whose_cold_items_were_left_as_trained_has_no_bonus(
    tiny_dataset: Dataset,
) -> None:
    placed = line(COLD_ROW, tiny_dataset, warm=3, cold=1)
    (facts,) = placed.runs
    runs = [replace(facts, cold_bonus=None), replace(facts, cold_bonus=0)]
    both = replace(placed, runs=runs)
    text = as_report([both], Figures(tiny_dataset, num_draws=1), {}, "tiny").splitlines()
    chosen = [each for each in text if "rate = 0.5" in each]
    assert chosen == [f"| SASRec | {COLD_ROW} |  | 2 | rate = 0.5 | 4, 4 | none, 0 |"]


def test_the_settings_that_a_baseline_was_tuned_to_are_shown(tiny_dataset: Dataset) -> None:
    measured = line(NEIGHBOURS_ROW, tiny_dataset, warm=1, cold=0, student="")
    tuned = replace(measured, settings={"reach": 4.0}, num_trials=0)

    text = as_report([tuned], Figures(tiny_dataset, num_draws=100), {}, "tiny")

    assert f"|  | {NEIGHBOURS_ROW} |  |  | reach = 4.0 |  |  |" in text


def test_the_main_rows_are_shown_by_stratum_with_the_number_of_examples(
    tiny_dataset: Dataset,
) -> None:
    """The warm target follows a cold item, the cold one follows none."""
    text = report(tiny_dataset)

    start = text.index("### Cold items, as target and in the history")
    assert text[start + 2] == (
        "| row | student | teacher | warm target, one as its last item (n = 1) "
        "| cold target, none in the history (n = 1) |"
    )
    of_ce = "| 0.5000 [0.5000, 0.5000] | 0.0000 [0.0000, 0.0000] |"
    assert text[start + 4] == f"| {CE_ROW} | SASRec |  {of_ce}"
    assert [row.split("|")[1].strip() for row in text[start + 4 :][:3]] == [
        CE_ROW,
        DISTILLED_ROW,
        COLD_ROW,
    ]


def test_a_report_begins_with_its_answer_in_a_short_table(tiny_dataset: Dataset) -> None:
    lines = [
        line("popularity", tiny_dataset, warm=0, cold=0, student=""),
        line("order-aware kNN", tiny_dataset, warm=3, cold=3, student=""),
        line("teacher titles", tiny_dataset, warm=0, cold=3, student=""),
        line(CE_ROW, tiny_dataset, warm=3, cold=0),
        line(DISTILLED_ROW, tiny_dataset, warm=1, cold=0),
    ]
    text = as_report(lines, Figures(tiny_dataset, num_draws=100), {"commit": "abc"}, "tiny")
    head, _, rest = text.partition("![quality against cost](tiny-cost.png)")
    rows = [
        [cell.strip(" *").split(" ")[0] for cell in each.split("|")[1:-1]]
        for each in head.splitlines()
        if each.startswith("|")
    ][2:]

    assert len(head.splitlines()) <= 15
    assert [row[0] for row in rows] == ["order-aware", "teacher", "SASRec", "SASRec"]
    # CE has (1/2 + 0) / 2, DLLM2Rec (1 + 0) / 2, and the kNN (1/2 + 1/2) / 2 of two targets.
    assert [row[1] for row in rows] == ["0.5000", "0.2500", "0.2500", "0.5000"]
    assert rows[3][3] == "+100.0%"
    assert rows[3][5] == "+0.0000"
    assert rest.endswith("## How it was made\n\n- commit: abc\n")


def test_a_report_without_a_taught_student_has_no_summary(tiny_dataset: Dataset) -> None:
    lines = [line(CE_ROW, tiny_dataset, warm=3, cold=0)]
    text = as_report(lines, Figures(tiny_dataset, num_draws=100), {}, "tiny")
    assert "## In short" not in text
