import tomllib
from pathlib import Path

import pytest

from export.contract import manifest
from training.errors import ConfigError
from training.settings.endpoint import EndpointConfig
from training.settings.experiment import load_experiment
from training.settings.student import MAX_HISTORY_LENGTH, StudentConfig
from training.settings.teacher import TeacherConfig, TeacherKind
from training.workplace import with_teacher

CONFIGS = sorted(Path(__file__).parents[3].glob("configs/*.toml"))
START = 'name = "tiny"\n[data]\nsource = "movielens"\n'


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("[student]\nsize = 3", "student.size"),
        ("[student]\nkind = 'bert4rec'", "student.kind = 'bert4rec'"),
        ("[student]\nnum_heads = 3", "does not divide hidden_size = 64"),
        ("[student]\nhidden_size = 65", "num_heads = 2: .*does not divide hidden_size = 65"),
        (
            "[distillation]\nembeddings = false\noffset = false",
            "an item vector must have an embedding or an offset",
        ),
        ("[teacher]\nkind = 'titles'\ntuning = 'lora'", "no history and needs tuning = 'none'"),
        ("[teacher]\nmax_titles = 10", "10: must be less than max_titles = 10"),
        ("[ladder]\nseeds = [7]", r"seeds \[7\] are missing in headline_seeds"),
        ("[teacher]\ntitle_decays = [0.5, 1.5]", "1.5: must be between 0 and 1"),
        ("[teacher]\ntitle_shares = [-0.1]", "-0.1: must be between 0 and 1"),
        (
            "[teacher]\nkind = 'generative'\nlayers = 6",
            "6: a generative teacher needs all layers",
        ),
        (
            "[teacher]\nkind = 'retrieval'\nmodel = 'openai:m'",
            r"model = 'openai:m': .*needs kind = .*'titles'",
        ),
        (
            "[teacher]\nkind = 'generative'\nmodel = 'sentence:m'",
            r"model = 'sentence:m': .*needs kind = 'fusion' or 'fusion-without-titles' or ",
        ),
        (
            "[teacher]\nkind = 'titles'\nmodel = 'sentence:m'\nlayers = 3",
            "3: 'sentence:m' is used with all layers",
        ),
        (
            "[teacher]\nkind = 'generative'\nmodel = 'openai:m'\ntuning = 'lora'",
            "'openai:m' needs tuning = 'none'",
        ),
        (
            "[teacher]\nkind = 'titles'\ntitle_prefix = 'query: '",
            "'smollm2' reads titles without a prefix",
        ),
        ("[teacher]\nkind = 'titles'\nbudget_tokens = 9", "limit it by budget_sequences"),
        ("[other_teachers.retrieval]\nsize = 3", r"other_teachers\.retrieval\.size = 3"),
        ("[other_teachers]\nretrieval = 3", r"other_teachers\.retrieval = 3"),
        ("[other_teachers.titel]\nlayers = 3", r"other_teachers\.titel"),
        (
            "[other_teachers.retrieval]\nlist_length = 5\n[distillation]\nlist_length = 6",
            "list_length = 6: must be at most 5, the value of other_teachers.retrieval.list_length",
        ),
        ("[other_teachers.titles]\nlayers = 3", r"is the kind of \[teacher\]; set it there"),
        ("[other_teachers.retrieval]\nkind = 'generative'", "retrieval.kind = 'generative'"),
        (
            "[distillation]\nlist_length = 11",
            "must be at most 10, the value of teacher.list_length",
        ),
        (
            "[teacher]\nlist_length = 5",
            "distillation: .*list_length = 10: must be at most 5, the value of teacher.list_length",
        ),
        ("[student]\nmax_history_length = 4097", "= 4097: .*less than or equal to 4096"),
        ("[distillation]\nposition_temperature = 0.01", "= 0.01: .*greater than or equal to 0.1"),
        ("[distillation]\nlist_negative = true", "training.loss = 'binary', not 'cross-entropy'"),
        (
            "[training]\nloss = 'binary'\n[distillation]\nlist_loss = 'distribution'",
            "needs training.loss = 'cross-entropy', not 'binary'",
        ),
        (
            "[teacher.endpoint]\nembedding_url = 'https://me:secret@llm.example/v1'",
            "put the key into OPENAI_API_KEY",
        ),
        ("[teacher.endpoint]\nbase_url = 'llm.example'", "match pattern"),
        ("[ladder]\ntitle_layers = [0]", "greater than or equal to 1"),
        ("[ladder]\ntitle_layers = [6, 6]", "contains a value twice"),
        ("[ladder]\nseeds = [0, 0]", "contains a value twice"),
        ("[training]\nseeds = [0, 1, 0]", "contains a value twice"),
        ("[training]\nseeds = []", r"training\.seeds = \[\]: .*at least 1 item"),
        ("[training]\nseeds = [0, -1]", r"training\.seeds\.1 = -1: .*greater than or equal to 0"),
        ("[training]\nseeds = [4294967296]", r"training\.seeds\.0 = 4294967296: .*less than"),
        ("[teacher]\nseed = -1", r"teacher\.seed = -1: .*greater than or equal to 0"),
        ("[teacher]\nseed = 4294967296", r"teacher\.seed = 4294967296: .*less than"),
        ("[ladder.grids]\nplain = { lr = [1] }", r"ladder\.grids\.plain: .*'lr': only settings of"),
        ("[ladder.grids]\nplain = { 'data.split' = ['time'] }", "'data.split': only settings of"),
        ("[ladder.grids]\nplain = { 'training.batch_size' = [] }", "at least 1 item"),
        ("[ladder.grids]\nplain = { 'student.dropout' = [0.1, 0.1] }", "contains a value twice"),
        (
            "[training]\nscored_share = 0.5\nloss = 'binary'",
            "0.5: needs loss = 'cross-entropy', not 'binary'",
        ),
        ("[training]\nscored_share = 0.5\nsmoothing = 0.1", "0.5: needs smoothing = 0, not 0.1"),
        (
            "[training]\nscored_share = 0.5\nrobust_weight = 1.0",
            "0.5: needs robust_weight = 0, not 1.0",
        ),
        ("[training]\ntouched_rows = true", "touched_rows = True: .*needs scored_share < 1"),
        (
            "[training]\nscored_share = 0.5\nweight_decay = 0.1\ntouched_rows = true",
            "touched_rows = True: .*needs weight_decay = 0",
        ),
        (
            "[training]\nscored_share = 0.5\naveraged_epochs = 1\ntouched_rows = true",
            "touched_rows = True: .*needs averaged_epochs = 0",
        ),
        ("[training]\naveraged_epochs = inf", "averaged_epochs = inf: .*finite number"),
        ("[training]\naveraged_epochs = 101", "= 101: .*less than or equal to 100"),
        ("[training]\naveraged_epochs = -1", "averaged_epochs = -1: .*greater than or equal to 0"),
    ],
)
def test_an_unusable_setting_is_refused_by_name(
    tmp_path: Path, settings: str, problem: str
) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(f"{START}{settings}\n")

    with pytest.raises(ConfigError, match=problem):
        load_experiment(path)


def test_an_error_about_a_section_does_not_repeat_the_section(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text("[training]\nmax_epochs = 7\n")

    with pytest.raises(ConfigError) as raised:
        load_experiment(path)

    assert str(raised.value) == f"{path}: data: Field required"


def test_a_student_without_heads_has_any_hidden_size() -> None:
    assert StudentConfig(kind="gru4rec", hidden_size=65).hidden_size == 65


def test_every_history_length_that_can_be_trained_can_be_exported() -> None:
    assert MAX_HISTORY_LENGTH == manifest.MAX_HISTORY_LENGTH


@pytest.mark.parametrize(
    "setting",
    [
        *(f"student.{each}" for each in ("hidden_size", "num_layers", "feed_forward_factor")),
        *("student.convolution_window", "student.horizontal_filters", "student.vertical_filters"),
        *("training.num_negatives", "distillation.embedding_columns", "distillation.cold_steps"),
        "ladder.num_resamples",
    ],
)
def test_a_size_that_no_memory_holds_is_refused_by_name(tmp_path: Path, setting: str) -> None:
    section, _, key = setting.partition(".")
    path = tmp_path / "tiny.toml"
    path.write_text(f"{START}[{section}]\n{key} = 1000000000\n")

    with pytest.raises(ConfigError, match=f"{setting} = 1000000000: .*less than or equal to"):
        load_experiment(path)


def test_an_error_does_not_repeat_a_password_in_an_address(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(f"{START}[teacher.endpoint]\nbase_url = 'https://me:secret@llm.example/v1'\n")

    with pytest.raises(ConfigError, match=r"//…@llm\.example") as raised:
        load_experiment(path)

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_every_config_of_the_repository_loads(path: Path) -> None:
    assert load_experiment(path).name in path.stem


CHANGED_DEFAULTS = {
    "teacher": {"kind"},
    "student": {"dropout"},
    "training": {"learning_rate", "max_epochs", "patience"},
    "distillation": {
        *("ranking_weight", "position_temperature", "confidence", "consistency"),
    },
}
"""Settings whose defaults were chosen by validation after runs had been stored."""


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_every_config_names_the_settings_whose_defaults_changed(path: Path) -> None:
    """So stored runs of the config are found, and a deployment goes on as before."""
    given = tomllib.loads(path.read_text())

    for section, names in CHANGED_DEFAULTS.items():
        assert names <= given[section].keys(), section


def test_the_example_needs_no_gpu() -> None:
    teacher = load_experiment(Path(__file__).parents[3] / "configs/example.toml").teacher
    assert (teacher.kind, teacher.tuning) == ("titles", "none")


def test_an_experiment_is_named_by_its_file_unless_it_has_a_name(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    for start, name in ((START, "tiny"), (START.partition("\n")[2], "shop")):
        path.write_text(start)
        assert load_experiment(path).name == name


def test_an_unreadable_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path}: Is a directory"):
        load_experiment(tmp_path)
    (tmp_path / "latin.toml").write_bytes('name = "é"'.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.toml: .*can't decode"):
        load_experiment(tmp_path / "latin.toml")


def test_by_default_cross_entropy_all_weights_of_lists_and_embeddings_are_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(START)

    experiment = load_experiment(path)

    method = experiment.distillation
    assert (experiment.training.loss, experiment.training.robust_weight) == ("cross-entropy", 0)
    assert (method.position, method.confidence, method.consistency) == (True, True, True)
    assert (method.embeddings, method.offset, method.weight_form) == (True, True, "paper")


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, {"precision"}),  # stamps from before there was a choice stay the same
        ({"kind": "retrieval", "pooling": "mean", "layers": 6}, {"precision", "pooling", "layers"}),
        ({"kind": "titles", "pooling": "mean", "layers": 6}, {"precision", "layers"}),
    ],
)
def test_a_fingerprint_has_only_settings_that_have_an_effect(
    settings: dict[str, object], names: set[str]
) -> None:
    teacher = TeacherConfig.model_validate(settings)
    assert set(teacher.fingerprint_settings({"precision", "pooling", "layers"})) == names


def test_a_teacher_of_another_kind_drops_the_settings_that_it_refuses(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(
        f"{START}[teacher]\nkind = 'retrieval'\ntuning = 'lora'\nlayers = 6\nbudget_tokens = 9\n"
    )
    experiment = load_experiment(path)
    writer = with_teacher(experiment, "generative").teacher
    assert (writer.layers, writer.tuning, writer.budget_tokens) == (None, "lora", 9)
    of_titles = with_teacher(experiment, "titles").teacher
    assert (of_titles.layers, of_titles.tuning, of_titles.budget_tokens) == (6, "none", None)


def test_a_teacher_of_another_kind_has_its_own_settings_and_else_those_of_teacher(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tiny.toml"
    given = "[other_teachers.generative]\nseed = 3\ntuner.rank = 2\n"
    path.write_text(f"{START}[teacher]\nlayers = 6\nseed = 1\ntuner.epochs = 9\n{given}")
    experiment = load_experiment(path)
    writer = with_teacher(experiment, "generative").teacher
    assert (writer.kind, writer.layers, writer.seed) == ("generative", None, 3)
    assert (writer.tuner.rank, writer.tuner.epochs) == (2, 9)
    assert with_teacher(experiment, "retrieval").teacher.seed == 1


@pytest.mark.parametrize("kind", ["retrieval", "generative"])
def test_a_kind_of_teacher_that_cannot_use_the_model_of_teacher_is_refused(
    tmp_path: Path, kind: TeacherKind
) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(f"{START}[teacher]\nkind = 'titles'\nmodel = 'sentence:m'\n")
    problem = (
        rf"teacher of kind '{kind}': teacher\.model = 'sentence:m': .*needs kind = 'fusion' or .*; "
        rf"give it settings of its own in \[other_teachers\.{kind}\]"
    )
    with pytest.raises(ConfigError, match=problem):
        with_teacher(load_experiment(path), kind)


def test_a_setting_that_was_added_later_to_a_section_within_changes_no_old_fingerprint() -> None:
    before = TeacherConfig().fingerprint_content()
    names = EndpointConfig.ADDED_LATER
    assert isinstance(before["endpoint"], dict)
    assert not names & before["endpoint"].keys()
    later = TeacherConfig(endpoint=EndpointConfig(titles_per_request=5)).fingerprint_content()
    assert isinstance(later["endpoint"], dict)
    assert names & later["endpoint"].keys() == {"titles_per_request"}


@pytest.mark.parametrize("model", ["openai:m", "sentence:m"])
@pytest.mark.parametrize("kind", ["titles", "fusion", "fusion-without-titles", "tf-idf"])
def test_titles_can_be_read_by_a_server_or_a_sentence_encoder(kind: str, model: str) -> None:
    assert TeacherConfig.model_validate({"kind": kind, "model": model}).model == model
