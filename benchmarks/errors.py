"""The error that stops one benchmark and lets the others run."""

from training.errors import TrainingError


class BenchmarkError(TrainingError):
    """Raised if a benchmark cannot run; the message names what is missing or what failed."""
