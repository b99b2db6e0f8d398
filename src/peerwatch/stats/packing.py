"""NumPy arrays as JSON-able values, exact to the bit, for the state of statistics."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from peerwatch.schema.batch import Array


def pack(array: Array) -> dict[str, Any]:
    """An array of numbers or flags as JSON-able values.

    >>> pack(np.array([1, 2], np.uint8))
    {'dtype': '|u1', 'shape': [2], 'data': 'AQI='}
    """
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": data}


def unpack(packed: Mapping[str, Any]) -> Array:
    """The array that `pack` packed; a copy that may be written to."""
    flat = np.frombuffer(base64.b64decode(packed["data"]), np.dtype(packed["dtype"]))
    return flat.reshape(packed["shape"]).copy()
