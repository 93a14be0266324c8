"""Settings of the data contradict each other nowhere."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from training.settings.data import DataConfig

SQL = {"address_variable": "SHOP", "interactions": "SELECT 1"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "sql"}, "needs a section .data.sql."),
        ({"source": "tables", "sql": SQL}, "needs data.source = 'sql'"),
        ({"source": "sql", "sql": SQL}, "needs either data.items or data.sql.items"),
        (
            {"source": "sql", "sql": {**SQL, "items": "SELECT 2"}, "items": Path("i.csv")},
            "needs either data.items or data.sql.items",
        ),
        (
            {"source": "sql", "sql": SQL, "interactions": Path("i.csv"), "items": Path("i.csv")},
            "takes no data.interactions",
        ),
        ({"source": "sql", "sql": {**SQL, "password": "x"}, "items": Path("i.csv")}, "password"),
        ({"source": "movielens", "order": "ids"}, "needs data.source = 'tables' or 'sql'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig.model_validate(settings)


def test_settings_that_were_added_later_leave_old_stamps_as_they_are() -> None:
    tables = DataConfig(source="tables", interactions=Path("i.csv"), items=Path("items.csv"))
    assert not {"sql", "order", "events"} & tables.fingerprint_content().keys()
