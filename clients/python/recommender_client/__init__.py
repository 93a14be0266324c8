"""Asks a distilled recommender; see `questions` for what can be asked."""

from recommender_client import answers, questions
from recommender_client.client import AsyncClient, Client, RefusedError
from recommender_client.questions import Question

__all__ = ["AsyncClient", "Client", "Question", "RefusedError", "answers", "questions"]
