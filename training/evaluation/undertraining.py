"""Signs that students were trained too little for their figures to be believed.

Settings that suit a large dataset take few steps on a small one. Training then ends at its last
epoch while the student still improves, or noise ends it before the student has begun to. A verdict
on such a student is too low.
"""

from collections.abc import Mapping, Sequence

from training.settings.experiment import TrainingConfig

FEW_STEPS = 10  # an epoch with fewer steps changes little


def signs_of_undertraining(
    best_epochs: Mapping[str, int], num_steps: int, config: TrainingConfig
) -> Sequence[str]:
    """Returns one line per sign, each with the setting to change; none if there is no sign.

    Args:
        best_epochs: number of each student's best epoch, the first being 1, by checkpoint name.
        num_steps: number of steps in an epoch.
        config: settings that the students were trained with.
    """
    if not best_epochs:
        return []
    return [
        *_late_epochs(best_epochs, config),
        *_first_epochs(best_epochs, config),
        *_few_steps(num_steps, config),
    ]


def signs_without_hits(names: Sequence[str]) -> Sequence[str]:
    """Returns a line on the students `names`, whose validation NDCG@20 is 0; none without any.

    Validation then chose nothing, neither an epoch nor a seed.
    """
    if not names:
        return []
    return [
        f"nothing to choose by: the validation NDCG@20 of {', '.join(names)} is 0, so the last of "
        "[training] max_epochs was kept; more interactions are needed"
    ]


def is_late(best_epoch: int, config: TrainingConfig) -> bool:
    """Returns whether `max_epochs` ended a training while its student still improved.

    The best epoch is then among the last tenth of the epochs, and `patience` did not end the
    training.
    """
    left = config.max_epochs - best_epoch
    return left < min(config.patience, max(1, config.max_epochs / 10))


def _late_epochs(best_epochs: Mapping[str, int], config: TrainingConfig) -> Sequence[str]:
    late = {name: epoch for name, epoch in best_epochs.items() if is_late(epoch, config)}
    if 2 * len(late) <= len(best_epochs):  # one seed in several is late by chance
        return []
    named = ", ".join(f"{name} ({epoch})" for name, epoch in late.items())
    return [
        f"trained too briefly: the best epoch of {named} is among the last of "
        f"{config.max_epochs}; raise [training] max_epochs"
    ]


def _first_epochs(best_epochs: Mapping[str, int], config: TrainingConfig) -> Sequence[str]:
    """Returns a line on variants whose students were all best after one epoch; none otherwise."""
    if 1 + config.patience >= config.max_epochs:  # patience ended no training
        return []
    learned = {name.rpartition("-")[0] for name, epoch in best_epochs.items() if epoch > 1}
    named = ", ".join(name for name in best_epochs if name.rpartition("-")[0] not in learned)
    if not named:
        return []
    return [
        f"ended at once: the best epoch of {named} is the first, and patience = {config.patience} "
        "ended the training; raise [training] patience, or learning_rate"
    ]


def _few_steps(num_steps: int, config: TrainingConfig) -> Sequence[str]:
    if num_steps >= FEW_STEPS or config.batch_size == 1:
        return []
    return [
        f"few steps: an epoch has {num_steps} of {config.batch_size} histories each; "
        "lower [training] batch_size, or raise learning_rate"
    ]
