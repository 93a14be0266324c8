"""Runs llama.cpp's server with a GGUF file, for titles and their embeddings: FILE PORT SLOTS.

Imports nothing of this project: it runs in an environment with `xllamacpp`, which has llama.cpp.
With one slot it reads one prompt at a time, and keeps nothing of it. With more it reads several at
a time, and keeps prompts to reuse their beginnings, as llama.cpp does by default.
"""

import signal
import sys

import xllamacpp

THREADS = 1  # more wait for each other where other programs take cores


def main(model: str, port: str, slots: str) -> None:
    """Serves OpenAI's API on loopback until the process is killed."""
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames, params.port = ["127.0.0.1"], int(port)
    params.n_parallel = int(slots)
    params.cache_prompt = params.n_parallel > 1
    params.n_ctx = 2_048 * params.n_parallel
    params.cpuparams.n_threads = THREADS
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    sys.stderr.write(f"listens at {server.listening_address}\n")
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
