"""Bounds the memory of the compiled matrix products that oneDNN keeps.

On a CPU torch multiplies in bfloat16 by oneDNN, which compiles a product for each shape and keeps
1,024 of them. Windows are packed, so nearly every training step has shapes of its own, and each
product kept has buffers: 0.8 GiB more in an epoch of a million interactions, and no time saved.
"""

import os

_VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
_KEPT = "16"


def keep_few_products() -> None:
    """Makes oneDNN keep few compiled products in this process and in those that it starts.

    A number that the environment names stays. Has no effect once oneDNN has multiplied.
    """
    os.environ.setdefault(_VARIABLE, _KEPT)
