"""Counts the words of a list, as a worker of a pool, with the Python package."""

import pathlib
import sys
from collections import Counter

# After `pip install` of sdk/python these two lines go.
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "sdk/python"))

import stead  # noqa: E402

stead.worker(lambda words, job: Counter(words))
