"""How states look in a notebook without a widget: a sign, and a colour for pages with a theme and without."""

from __future__ import annotations

__all__ = ["QUIET", "colour", "sign"]

_SIGNS = {
    "COMPLETED": "✓",
    "FAILED": "✗",
    "CRASHED": "✗",
    "CANCELLED": "■",
    "CANCELLING": "■",
    "RUNNING": "▶",
    "PAUSED": "⏸",
}
# For a page without a theme, and the variable of Jupyter's themes that stands in for it where there is one.
_COLOURS = {
    "COMPLETED": ("#1a7f37", "--jp-success-color1"),
    "FAILED": ("#cf222e", "--jp-error-color1"),
    "CRASHED": ("#9a6700", "--jp-warn-color1"),
    "RUNNING": ("#0969da", "--jp-brand-color1"),
}
_QUIET = ("#6e7781", "--jp-ui-font-color2")


def sign(state_type: str) -> str:
    """Return the one character that stands for a type of state."""
    return _SIGNS.get(state_type, "○")


def colour(state_type: str) -> str:
    """Return the CSS of a state's text; said twice, because a sanitizer may leave out what it does not know."""
    plain, variable = _COLOURS.get(state_type, _QUIET)
    return f"color:{plain};color:var({variable},{plain})"


#: The CSS of what is said beside.
QUIET = colour("")
