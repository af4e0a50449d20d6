"""What tests share besides fixtures: small studies, model folders, and where the project is."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
