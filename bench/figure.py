"""One row of the figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row: what was measured, the value, the budget that the project set itself."""

    what: str
    value: float
    budget: float
    unit: str

    def row(self) -> str:
        verdict = "ok" if self.value <= self.budget else "MISSED"
        return f"{self.what:<58} {self.value:>8.2f} {self.budget:>8.2f} {self.unit:<6} {verdict}"
