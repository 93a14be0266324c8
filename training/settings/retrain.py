"""Settings of `retrain`: when a new model takes the place of the published one."""

from pydantic import Field

from training.settings.section import Section


class RetrainConfig(Section):
    """Settings of the contest of challenger and champion on the newest slice of events."""

    margin: float = Field(
        default=-0.02,
        gt=-1,
        lt=1,
        description="the challenger is published if the lower end of the interval of its "
        "relative gain in NDCG@20 is above this; -0.02 accepts a loss of 2 % at most",
    )
    min_examples: int = Field(
        default=500,
        ge=1,
        description="number of examples that the newest slice needs; with fewer nothing is decided",
    )
    may_lose_items: bool = Field(
        default=False,
        description="whether a challenger may take over that lacks items of the champion which the "
        "table of items still has; the service answers 404 for them",
    )
