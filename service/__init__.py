import export  # noqa: F401  # must come before onnxruntime; `export/__init__.py` says why
