"""Measurements, each a module: `python -m benchmarks.ranking` from the project's folder prints its table."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
