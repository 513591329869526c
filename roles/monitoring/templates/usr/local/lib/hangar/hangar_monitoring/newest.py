# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""The newest of what is read, as many as fit: those who write logs choose how much there is, and the memory is ours."""

import heapq

from .entries import Entry

MOST = 200_000
"""Lines that are held at once."""

ROOM = 64 << 20
"""Letters that are held at once."""

EACH = 200
"""What a line counts as beside its letters."""


class Newest:
    """Holds at most so many entries, of any order, and drops the oldest of them."""

    def __init__(self, most: int, room: int = ROOM) -> None:
        self.most, self.room = most, room
        self.dropped = 0
        """How many are not held any more."""
        self.crowded = False
        """Whether some of them had to go for their length alone."""
        self._held: list[tuple[float, int, Entry]] = []
        self._taken = self._count = 0

    def __len__(self) -> int:
        return len(self._held)

    def add(self, entry: Entry) -> None:
        self._count += 1  # of two from one moment the later one is newer
        heapq.heappush(self._held, (entry.time.timestamp(), self._count, entry))
        self._taken += _letters(entry)
        while len(self._held) > self.most or self._taken > self.room:
            self.crowded |= len(self._held) <= self.most
            self._taken -= _letters(heapq.heappop(self._held)[2])
            self.dropped += 1

    def in_order(self) -> list[Entry]:
        return [entry for _, _, entry in sorted(self._held)]


def _letters(entry: Entry) -> int:
    return EACH + len(entry.message) + sum(map(len, entry.about.values()))
