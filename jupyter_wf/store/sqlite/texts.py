"""Texts as SQLite can hold them, and the payloads that are put together from them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from json.encoder import encode_basestring_ascii

__all__ = ["clean", "clean_json", "cleaned", "quote", "state_payload"]

#: A JSON string literal of a text, ASCII only.
quote: Callable[[str], str] = encode_basestring_ascii

# Patterns as texts: `re` compiles, and keeps, those that are used, and most programs need neither.
_UNSTORABLE = "[\x00\ud800-\udfff]"
# A backslash pair is skipped, a surrogate pair is a character; what remains of surrogates is alone.
_ESCAPES = r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u(?:[dD][89a-fA-F][0-9a-fA-F]{2}|0000)"


def clean(text: str) -> str:
    """Return ``text`` with NUL and lone surrogates written out as escapes: SQLite can't hold them."""
    if (text.isascii() or not _has_surrogate(text)) and "\0" not in text:
        return text
    return re.sub(_UNSTORABLE, lambda m: _written_out(ord(m[0])), text)


def cleaned(text: str | None) -> str | None:
    """Do the same, and leave None as it is."""
    return None if text is None else clean(text)


def clean_json(text: str) -> str:
    """Do as `clean` to the strings inside of a JSON text."""
    if "\\u" in text:
        text = re.sub(_ESCAPES, lambda m: m[0] if len(m[0]) != 6 else "\\" + _written_out(int(m[0][2:], 16)), text)
    if text.isascii() or not _has_surrogate(text):
        return text
    return re.sub(_UNSTORABLE, lambda m: "\\" + _written_out(ord(m[0])), text)


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _written_out(code: int) -> str:
    return f"\\u{code:04x}" if code else "\\x00"


def state_payload(type_: str, name: str, message: str | None, attempt: int, error: str | None = None) -> str:
    """Return the payload of a ``state`` event as a JSON text; of the error only type and message are kept."""
    text = "null" if message is None else quote(clean(message))
    head = f'{{"type": {quote(type_)}, "name": {quote(clean(name))}, "message": {text}, "attempt": {attempt}'
    if error is None:
        return head + "}"
    found = json.loads(error)
    if not isinstance(found, dict):
        return head + "}"
    kind, why = str(found.get("type", "Exception")), str(found.get("message", ""))
    return head + f', "error": {{"type": {quote(kind)}, "message": {quote(why)}}}}}'
