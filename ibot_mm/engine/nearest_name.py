"""Which name somebody may have meant."""

import difflib
from collections.abc import Iterable


def edit_distance(a: str, b: str) -> int:
    """Letters to insert, drop, change or swap with the next (Damerau)."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, last, row = row, before, [i]
        for j, y in enumerate(b, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, last[j - 2] + 1)
            row.append(best)
    return row[-1]


def slip_of(name: str, names: Iterable[str]) -> str | None:
    """The name that differs by so little that it must have been meant.

    That is one letter, in names of ten letters and more two. Short names are
    too close to each other to tell.

    Args:
        name: What was written.
        names: What there is.
    """
    limit = 2 if len(name) >= 10 else 1 if len(name) >= 5 else 0
    near = [(edit_distance(name, other), other) for other in names
            if abs(len(name) - len(other)) <= limit]
    distance, other = min(near, default=(limit + 1, ''))
    return other if distance <= limit else None


def nearest_name(name: str, names: Iterable[str]) -> str | None:
    """The name that is most like another one, if any is like it."""
    names = list(names)
    lower = {other.lower(): other for other in names}
    near = difflib.get_close_matches(name.lower(), lower, 1, 0.75)
    return slip_of(name, names) or (lower[near[0]] if near else None)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The question at the end of a message, empty if nothing is like it."""
    other = nearest_name(name, names)
    return f'; did you mean "{other}"?' if other else ''
