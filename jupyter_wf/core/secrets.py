"""The secrets that this process has used: what is masked in everything that its runs write down."""

from __future__ import annotations

import json
import re
from typing import Any

from jupyter_wf.core.parameters import MASK

__all__ = ["SEEN", "forget_secrets", "mask", "mask_values", "remember_secret"]

#: Shorter ones are not looked for: they would be found in words that have nothing to do with them.
_SHORTEST = 4
_DEEPEST = 20

#: Every text that is masked. Empty, hence false, while no secret was used: then there is nothing to look for.
SEEN: set[str] = set()


class _Pattern:
    """Finds any of `SEEN`, the longest first; made anew when a secret has come."""

    def __init__(self) -> None:
        self.number = 0
        self.find = re.compile("(?!)")

    def get(self) -> re.Pattern[str]:
        number = len(SEEN)
        if number != self.number:
            longest_first = sorted(SEEN, key=len, reverse=True)
            self.find, self.number = re.compile("|".join(map(re.escape, longest_first))), number
        return self.find


_pattern = _Pattern()


def remember_secret(value: Any) -> None:
    """Have the text ``value`` masked from now on, or the texts inside of a list or mapping.

    It is also found as it stands in a ``repr`` and in JSON; each of several lines also by itself. Texts of less than
    4 characters are not masked.
    """
    if isinstance(value, str):
        texts = {value, value.strip()}
        if "\n" in value:
            texts.update(line.strip() for line in value.splitlines())
        for text in texts:
            if len(text) >= _SHORTEST:
                SEEN.update((text, repr(text)[1:-1], json.dumps(text)[1:-1]))
    elif isinstance(value, bytes):
        remember_secret(value.decode("utf-8", "replace"))
    elif isinstance(value, dict):
        for item in value.values():
            remember_secret(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            remember_secret(item)


def forget_secrets() -> None:
    """Mask nothing any more. For tests."""
    SEEN.clear()
    _pattern.number = 0


def mask(text: str) -> str:
    """Return ``text`` with every secret in it replaced by ``***``."""
    return _pattern.get().sub(MASK, text) if SEEN else text


def mask_values(value: Any, depth: int = 0) -> Any:
    """Return a JSON value with every secret in its texts replaced by ``***``."""
    if not SEEN:
        return value
    if isinstance(value, str):
        return mask(value)
    if depth < _DEEPEST and isinstance(value, list):
        return [mask_values(item, depth + 1) for item in value]
    if depth < _DEEPEST and isinstance(value, dict):
        return {mask(key): mask_values(item, depth + 1) for key, item in value.items()}
    return value
