"""The cells of a ladder."""

from training.data.dataset import Dataset
from training.knowledge import Summary
from training.ladder.plan.plan import Plan
from training.ladder.plan.references import Reference, Teacher
from training.settings.experiment import DataConfig, Experiment
from training.settings.teacher import TeacherConfig, TeacherKind


def test_each_text_has_a_cell_with_its_embeddings_also_if_it_has_no_lists(
    tiny_dataset: Dataset,
) -> None:
    def teacher(kind: TeacherKind, num_lists: int) -> Teacher:
        summary = Summary(kind, kind, num_lists, {})
        return Teacher(summary, Reference(kind, TeacherConfig(kind=kind), (0.0,), tiny_dataset))

    experiment = Experiment(name="tiny", data=DataConfig(source="movielens"))
    teachers = [teacher("titles", 3), teacher("tf-idf", 0), teacher("word-vectors", 3)]
    rows = ["CE", "embeddings only", "DLLM2Rec", "DLLM2Rec without offset"]
    plan = Plan(experiment, tiny_dataset, teachers, rows)

    cells = [(cell.row, cell.teacher and cell.teacher.kind) for cell in plan.cells("caser")]

    assert cells == [
        ("CE", None),
        ("embeddings only", "titles"),
        ("embeddings only", "tf-idf"),
        ("embeddings only", "word-vectors"),
        ("DLLM2Rec", "titles"),
        ("DLLM2Rec", "word-vectors"),
        ("DLLM2Rec without offset", "titles"),
    ]


def test_a_student_with_a_pair_bonus_takes_the_trial_that_is_chosen_without_it(
    tiny_dataset: Dataset,
) -> None:
    experiment = Experiment(name="tiny", data=DataConfig(source="movielens"))
    plan = Plan(experiment, tiny_dataset, [], ["CE", "CE with pair bonus"])
    without, with_bonus = plan.cells("sasrec")

    trials = plan.trial_jobs(without)
    assert [job.stamp for job in plan.trial_jobs(with_bonus)] == [job.stamp for job in trials]
    job = plan.jobs_with(with_bonus, plan.trials(with_bonus)[0])[0]
    assert job.training.pair_bonus
    assert job.training_stamp == trials[0].training_stamp


def test_only_fusion_teachers_teach_rows_of_distributions(tiny_dataset: Dataset) -> None:
    def cells_of(*kinds: TeacherKind, row: str = "DLLM2Rec with distributions") -> list[str]:
        teachers = [
            Teacher(
                Summary(kind, kind, 3, {}),
                Reference(kind, TeacherConfig(kind=kind), (0.0,), tiny_dataset),
            )
            for kind in kinds
        ]
        experiment = Experiment(name="tiny", data=DataConfig(source="movielens"))
        plan = Plan(experiment, tiny_dataset, teachers, [row])
        return [cell.teacher.kind for cell in plan.cells("sasrec") if cell.teacher]

    assert cells_of("titles", "fusion", "fusion-without-titles") == [
        "fusion",
        "fusion-without-titles",
    ]
    assert cells_of("fusion", "titles") == ["fusion"]
    assert cells_of("titles") == []
    assert cells_of("titles", "fusion", row="DLLM2Rec") == ["titles", "fusion"]
    # Its embeddings are those of the titles teacher.
    assert cells_of("titles", "fusion", row="embeddings only") == ["titles"]
    assert cells_of("fusion", row="embeddings only") == ["fusion"]
