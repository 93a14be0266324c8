"""A small OpenAI-compatible server over a real LLM, run as a process: MODEL_PATH PORT."""

import sys
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from training.teacher.llm.language_model import LanguageModel, load_language_model
from training.teacher.llm.prompts import title_lines
from training.teacher.llm.title_embeddings import mean_states

KEY = "let me in"


def app_of(model: LanguageModel) -> FastAPI:
    """Serves completions, chat completions and embeddings; each route fails once at first."""
    app = FastAPI()
    early: set[str] = set()

    @app.post("/v1/{route:path}", response_model=None)
    async def answer(route: str, request: Request) -> JSONResponse | dict[str, Any]:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": "who are you?"}, 401)
        if route not in early:
            early.add(route)
            return JSONResponse({"error": "still loading"}, 503, {"Retry-After": "0"})
        body = await request.json()
        if route == "embeddings":
            return embeddings(model, body["input"])
        prompt = body.get("prompt") or "".join(each["content"] for each in body["messages"])
        text, tokens = written(model, prompt, body["max_tokens"], body.get("stop", []))
        choice = {"message": {"content": text}} if "messages" in body else {"text": text}
        return {"choices": [choice], "usage": {"total_tokens": tokens}}

    return app


def written(model: LanguageModel, prompt: str, limit: int, stop: list[str]) -> tuple[str, int]:
    """Writes greedily, one token after the other."""
    tokens = [model.tokenizer.bos_token_id, *model.tokenizer(prompt)["input_ids"]]
    start = len(tokens)
    while len(tokens) < start + limit:
        with torch.inference_mode():
            scores = model.causal(torch.tensor([tokens])).logits[0, -1]
        tokens.append(int(scores.argmax()))
        text: str = model.tokenizer.decode(tokens[start:])
        if any(mark in text for mark in stop):
            return text.split("\n")[0], len(tokens)
    return text, len(tokens)


def embeddings(model: LanguageModel, titles: list[str]) -> dict[str, Any]:
    """Embeds each title, the last one first: servers need not keep the order."""
    vectors = mean_states(model, title_lines(model.tokenizer, titles)).tolist()
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"data": data[::-1]}


if __name__ == "__main__":
    server_app = app_of(load_language_model(sys.argv[1]))
    uvicorn.run(server_app, port=int(sys.argv[2]), log_level="warning")
