"""Interleaved rounds: the only way two figures of a noisy machine can be compared."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field

Measure = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Result:
    """One line of the table.

    `ours` and `bare` are medians in `unit`; `ratio` is the median of the ratios of each round, which is why
    it need not be the quotient of the two medians. `lowest` and `highest` bound the ratios seen. `held`
    says whether `ratio` meets `target`.
    """

    name: str
    ours: float
    bare: float
    ratio: float
    target: float
    unit: str
    lowest: float
    highest: float
    rounds: int
    held: bool
    about: str
    parts: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The result as one entry of `build/bench.json`."""
        return asdict(self)


async def interleave(
    rounds: int, *measures: Measure, progress: Callable[[str], None]
) -> list[tuple[float, ...]]:
    """Runs every measure once a round, in turn, after one round that is not counted.

    The order turns by one each round, so that no measure always follows the same other.
    """
    seen: list[tuple[float, ...]] = []
    for number in range(rounds + 1):
        values = [0.0] * len(measures)
        for step in range(len(measures)):
            index = (step + number) % len(measures)
            values[index] = await measures[index]()
        if number:
            seen.append(tuple(values))
        progress(f"round {number} of {rounds}" if number else "warm-up")
    return seen


def median(values: Sequence[float]) -> float:
    """The median; raises StatisticsError when there is none."""
    return statistics.median(values)
