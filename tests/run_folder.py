"""The folder that the processes of one run of the tests share."""

import os
from pathlib import Path

import pytest


def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder; pytest deletes it after some later run, as it deletes `tmp_path`."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
