"""Schemas of the answer with everything that an operator looks at."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, Field

from service.api.schemas.bodies import ModelAnswer


class SampleAnswer(BaseModel):
    """One value of a metric."""

    name: str = Field(description="name as in `GET /metrics`")
    labels: Mapping[str, str]
    value: float | None = Field(description="null: not a number")


class OperationsAnswer(BaseModel):
    """The served bundles, and the metrics of one replica of the service."""

    replica: str = Field(description="name of the host that answered")
    read_at: int = Field(description="time of the answer in ms since 1970")
    model: ModelAnswer
    samples: Sequence[SampleAnswer] = Field(
        description="values of all metrics, sums over the workers of the replica"
    )
