"""A peer of the service: FastAPI serves the student in eager torch, without an export."""

import os
from pathlib import Path

import torch
from fastapi import FastAPI

from benchmarks.rivals import fastapi_onnx
from benchmarks.rivals.click_handler import Ranker, open_bundle
from benchmarks.subjects.subject import load_student


def create_app() -> FastAPI:
    """Makes the application; uvicorn calls it with `--factory`."""
    torch.set_num_threads(1)  # two threads are slower, since other processes need the cores
    student = load_student(Path(os.environ["STUDENT_PATH"]))

    @torch.inference_mode()
    def rank(history: list[int], k: int) -> tuple[list[int], list[float]]:
        newest = torch.tensor([history[-student.max_history_length :]])
        scores = student.score(newest)[0]
        scores[history] = -torch.inf
        best = torch.topk(scores, k)
        return best.indices.tolist(), best.values.tolist()

    return fastapi_onnx.create_app(Ranker(open_bundle(), rank))
