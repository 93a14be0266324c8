import export  # noqa: F401  # before onnxruntime: see there
