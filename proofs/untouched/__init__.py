"""Proves that the programs run on data which no config of this project names, without settings.

Two sets: a generated shop, and the ratings of MovieLens before a moment at 60 % of their time, as
if the others had not happened yet. The experiment file of each has the section [data] only; all
else is the default. The programs from `prepare` to `export --refit` and `ladder` then run as a user
calls them.

python -m proofs untouched [--seeds N ...] [--customers N] [--work PATH]
    [--without-ladder] [--only NAME] [--interactions PATH --items PATH]
"""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

from cyclopts import Parameter

from proofs.record import Figure
from proofs.untouched.generated import Shop
from proofs.untouched.road import Road, Run, run_program
from proofs.untouched.tables import earlier_cut, write_tables
from training.data.raw import RawData
from training.data.sources.movielens import read_movielens
from training.data.sources.tables import read_tables
from training.errors import ConfigError

SHARE = 0.6  # of the time range; the earlier cut has the interactions before it

Numbers = Annotated[tuple[int, ...], Parameter(consume_multiple=1)]


def prove(
    *,
    seeds: Numbers = (),
    customers: int = 8_000,
    without_ladder: bool = False,
    work: Path | None = None,
    only: Literal["generated", "earlier-cut"] | None = None,
    interactions: Path | None = None,
    items: Path | None = None,
) -> Iterable[Figure]:
    """Yields times, exit codes and NDCG@20 of all programs on both sets.

    Args:
        seeds: seeds of the students, which the experiment files then have too; by default those
            that the programs take without any setting.
        customers: number of customers of the generated shop, with 13 interactions each on average.
        without_ladder: leave out the ladder, which takes longest.
        work: folder of tables and results, where a proof that was stopped goes on; by default a
            temporary one.
        only: the one set to run; by default both, one after the other.
        interactions: table of interactions to cut, in place of MovieLens.
        items: table of the items of `interactions`.
    """
    if (interactions is None) != (items is None):
        raise ConfigError("--interactions and --items: give both tables, or none")
    raw = read_tables(interactions, items) if interactions and items else read_movielens()
    with ExitStack() as stack:
        folder = work or Path(stack.enter_context(TemporaryDirectory()))
        sets = {
            "generated": Shop(customers).interactions(),
            "earlier-cut": earlier_cut(raw, SHARE),
        }
        chosen = {name: raw for name, raw in sets.items() if only in (None, name)}
        ladder = not without_ladder
        yield from measured(folder.absolute(), chosen, "", seeds, with_ladder=ladder)


def measured(
    folder: Path,
    sets: Mapping[str, RawData],
    settings: str,
    seeds: tuple[int, ...],
    run: Run = run_program,
    *,
    with_ladder: bool = True,
) -> Iterable[Figure]:
    """Yields the figures of each of `sets`, by name.

    Args:
        folder: folder of all files.
        sets: interactions, by name of the experiment.
        settings: settings of the experiments, in TOML, without those of the data.
        seeds: seeds of the students; empty for the default.
        run: runs a program.
        with_ladder: whether the ladder is run.
    """
    (folder / "work").mkdir(parents=True, exist_ok=True)
    for name, raw in sets.items():
        data = write_tables(raw, folder / "tables" / name)
        config = folder / f"{name}.toml"
        training = f"[training]\nseeds = {list(seeds)}\n" if seeds else ""
        config.write_text(data + settings + training, encoding="utf-8")
        yield from Road(config, folder / "work", seeds, with_ladder, run).figures()
