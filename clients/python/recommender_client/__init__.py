"""Typed client of a distilled recommender.

The module `questions` has a function for each route of the service. It makes an `ApiRequest`,
which has not been sent yet. `Client` and `AsyncClient` send a question and return the
answer, a typed dictionary of the module `answers`. If the service refuses a request, they raise
`RefusedError`.

Examples:
    >>> from recommender_client import Client, questions
    >>> with Client("http://127.0.0.1:8000") as client:
    ...     answer = client.ask(questions.recommend(history=["1", "260"], k=5))
    ...     [item["item_id"] for item in answer["items"]]
"""

from recommender_client import answers, questions
from recommender_client.client import AsyncClient, Client, RefusedError
from recommender_client.questions import ApiRequest

__all__ = ["ApiRequest", "AsyncClient", "Client", "RefusedError", "answers", "questions"]
