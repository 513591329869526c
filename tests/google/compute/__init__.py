"""Compute Engine: what it keeps and what it enforces."""

ROOT = "https://www.googleapis.com/compute/v1/"
"""How Compute writes links, whatever host it was asked at."""


def link(path: str) -> str:
    return ROOT + path
