"""The table of all retrainings, `work/<name>/retrain/runs.jsonl`: one JSON object per line.

An unfinished run is stored in `current.json` beside the table, and resumes with the same window.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from training.errors import ResultError
from training.evaluation.intervals import Interval
from training.stage import new_file, write_text

Decision = Literal["published", "worse", "undecided", "refused"]


@dataclass(frozen=True)
class Look:
    """A contest of a challenger with the champion.

    Attributes:
        run: name of the run that held it.
        number: its number among the contests with the same champion, from 1.
        gain: relative gain of the challenger, with the interval of this look.
    """

    run: str
    number: int
    gain: Interval


@dataclass(frozen=True)
class Run:
    """One retraining and its decision.

    Attributes:
        id: name of the run: the time in UTC at which it began.
        until: end of the run's window in ms since 1970; the next run reads later events.
        since: start of the newest slice in ms since 1970, where the champion's window ended; None
            if unknown.
        champion: version of the bundle that was active; None if there was none.
        challenger: name of the trained student; None if none was trained.
        metric: name of the metric that decides.
        difference: relative gain of the challenger over the champion in `metric`, on the newest
            slice; None without a contest.
        low: lower end of the interval of `difference`.
        high: upper end of the interval of `difference`.
        examples: number of examples of the newest slice.
        decision: the decision; empty until the run is decided.
        reason: sentence that gives the reason for the decision.
        bundle: version of the published bundle; None without one.
        teacher_tokens: number of tokens that the teacher read for this run.
        look: number of this contest among those with the same champion, from 1; None without a
            contest.
        level: confidence level of the interval, which rises with each look; None without a contest.
        stamp: hash of everything that decided the contest but the champion: the challenger's
            training and the newest slice; None without a contest, and in runs of before.
        seconds: time from the run's beginning to its end, including pauses after a kill.
    """

    id: str
    until: int
    since: int | None = None
    champion: str | None = None
    challenger: str | None = None
    metric: str = ""
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    examples: int = 0
    decision: Decision | Literal[""] = ""
    reason: str = ""
    bundle: str | None = None
    teacher_tokens: int = 0
    look: int | None = None
    level: float | None = None
    stamp: str | None = None
    seconds: float = 0.0

    @property
    def contest(self) -> Look | None:
        """The contest of the run; None without one, and in runs of before."""
        if self.look is None or self.difference is None or self.low is None or self.high is None:
            return None
        return Look(self.id, self.look, Interval(self.difference, self.low, self.high))


@dataclass(frozen=True)
class RunTable:
    """The files of an experiment's retrainings.

    Attributes:
        folder: folder of the files, `work/<name>/retrain`.
    """

    folder: Path

    @property
    def path(self) -> Path:
        """Path of the table of finished runs."""
        return self.folder / "runs.jsonl"

    @property
    def _current(self) -> Path:
        return self.folder / "current.json"

    def read(self) -> Sequence[Run]:
        """Returns all finished runs, oldest first.

        Raises:
            ResultError: a line is not a run.
        """
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return [_run_of(line, self.path) for line in lines]

    def current(self) -> Run | None:
        """Returns the unfinished run; None if there is none.

        Raises:
            ResultError: the file of the run is damaged.
        """
        if not self._current.exists():
            return None
        return _run_of(self._current.read_text(encoding="utf-8"), self._current)

    def keep(self, run: Run) -> Run:
        """Stores an unfinished run in `current.json`, and returns it."""
        write_text(self._current, _line_of(run))
        return run

    def finish(self, run: Run) -> None:
        """Appends a run to the table, unless the table has it, and removes `current.json`."""
        runs = self.read()
        if run.id not in [each.id for each in runs]:
            with new_file(self.path) as file:
                file.write("".join(map(_line_of, [*runs, run])).encode())
        self._current.unlink(missing_ok=True)

    def window_end_of(self, bundle: str | None) -> int | None:
        """Returns the end of the window of the run that published `bundle`, in ms since 1970.

        Returns None if no run in the table published it.
        """
        ends = [run.until for run in self.read() if run.bundle and run.bundle == bundle]
        return ends[-1] if ends else None

    def looks_at(self, champion: str) -> int:
        """Returns the number of contests with `champion`; one that was told again counts once."""
        contests = [run for run in self._contests() if run.champion == champion]
        return len({run.stamp or run.id for run in contests})

    def look(self, champion: str, stamp: str) -> Look | None:
        """Returns the contest with `champion` and this `stamp`; None if none was finished."""
        for run in self._contests():
            if (run.champion, run.stamp) == (champion, stamp):
                return run.contest
        return None

    def _contests(self) -> Sequence[Run]:
        return [run for run in self.read() if run.low is not None]


def decided(run: Run, decision: Decision, reason: str, **figures: Any) -> Run:
    """Returns a copy of the run with a decision, its reason, and further fields in `figures`."""
    return replace(run, decision=decision, reason=reason, **figures)


def _line_of(run: Run) -> str:
    return json.dumps(asdict(run)) + "\n"


def _run_of(line: str, path: Path) -> Run:
    try:
        return Run(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise ResultError(f"{path}: not a retraining ({error}); remove the line") from None
