"""What is left of views that have ended: their static forms, for a while, and the offers to try a run again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jupyter_wf.ipython.html import mark_stale
from jupyter_wf.ipython.screens import Bundle, Place

__all__ = ["FinishedViews", "Offer", "Offers", "slim"]

#: How many finished views can still be marked, and how much text (characters) is kept for that.
_MOST_VIEWS = 200
_MOST_TEXT = 2_000_000
#: How many failed runs keep their Retry button.
_MOST_OFFERS = 20


def slim(request: Place | None) -> Place:
    """Return what of a cell's request is needed to put outputs below it: not its code."""
    if not request:
        return {}
    return {"header": request.get("header", {}), "metadata": request.get("metadata", {}), "content": {}}


@dataclass(slots=True, kw_only=True)
class _Finished:
    """A view's static forms, which do not say that the run is out of date, and where they are shown."""

    html: str
    text: str
    display_id: str
    place: Place
    stale: str | None

    @property
    def size(self) -> int:
        return len(self.html) + len(self.text)


class FinishedViews:
    """The static forms of the newest finished views of tasks, so that they can be marked."""

    def __init__(self) -> None:
        self._views: OrderedDict[str, _Finished] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._views)

    def keep(self, run_id: str, html: str, text: str, display_id: str, place: Place, stale: str | None) -> None:
        """Remember the static forms of a run's view; ``html`` and ``text`` do not say that it is ``stale``."""
        self.forget(run_id)
        # A flow or task that is called in a loop has one view: it is about its newest run.
        for other in [other for other, known in self._views.items() if known.display_id == display_id]:
            self.forget(other)
        view = _Finished(html=html, text=text, display_id=display_id, place=place, stale=stale)
        self._views[run_id] = view
        self._size += view.size
        while len(self._views) > _MOST_VIEWS or self._size > _MOST_TEXT:
            self._size -= self._views.popitem(last=False)[1].size

    def forget(self, run_id: str) -> None:
        """Forget a run's view, if there is one."""
        view = self._views.pop(run_id, None)
        if view is not None:
            self._size -= view.size

    def mark(self, run_id: str, why: str | None) -> tuple[Bundle, str, Place] | None:
        """Mark a run's view as out of date, or take that back (None).

        Returns its new forms, its display id and its place; None where nothing changes.
        """
        view = self._views.get(run_id)
        if view is None or view.stale == why:
            return None
        view.stale = why
        html, text = mark_stale(view.html, view.text, why)
        return {"text/html": html, "text/plain": text}, view.display_id, view.place


@dataclass(slots=True, kw_only=True)
class Offer:
    """The offer to try a failed run again: the widget that makes it, and where the run's view is."""

    widget: Any
    display_id: str
    place: Place


class Offers:
    """The offers for the newest failed runs."""

    def __init__(self) -> None:
        self._offers: OrderedDict[str, Offer] = OrderedDict()

    def __iter__(self) -> Iterator[str]:
        return iter(self._offers)

    def keep(self, run_id: str, offer: Offer) -> None:
        """Remember an offer; the oldest one ends where there are too many."""
        self.withdraw(run_id)
        self._offers[run_id] = offer
        while len(self._offers) > _MOST_OFFERS:
            self.withdraw(next(iter(self._offers)))

    def withdraw(self, run_id: str) -> Offer | None:
        """End the offer for a run and return it; None where there is none."""
        offer = self._offers.pop(run_id, None)
        if offer is not None and offer.widget is not None:
            offer.widget.close()
        return offer

    def close(self) -> None:
        """End all offers."""
        for run_id in list(self._offers):
            self.withdraw(run_id)
