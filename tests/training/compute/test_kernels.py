import os
import subprocess
import sys

import pytest
import torch

from training.compute.device import multiplies_halves
from training.compute.kernels import keep_few_products

VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
PRODUCTS = """
import sys, psutil, torch
from training.compute.kernels import keep_few_products

def grown(rows):
    before = psutil.Process().memory_info().rss
    factor = torch.ones(64, 256, dtype=torch.bfloat16)
    for each in rows:
        torch.ones(each, 64, dtype=torch.bfloat16) @ factor
    return (psutil.Process().memory_info().rss - before) >> 20

if sys.argv[1] == "few":
    keep_few_products()
torch.set_num_threads(1)
grown(range(200, 1200))
print(grown(range(1200, 1700)))
"""


def grown(how: str) -> int:
    """Returns the MiB that products of 500 further shapes take in a process of their own."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    command = [sys.executable, "-c", PRODUCTS, how]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return int(done.stdout)


@pytest.mark.skipif(
    not multiplies_halves(torch.device("cpu")), reason="oneDNN does not multiply in bfloat16 here"
)
def test_products_of_further_shapes_take_no_memory() -> None:
    assert grown("few") < grown("all") / 2


def test_a_number_in_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "64")
    keep_few_products()
    assert os.environ[VARIABLE] == "64"
