"""Secret texts of automations: those that are named instead of given are looked up when they are needed."""

from __future__ import annotations

import os

from jupyter_wf.core.automations import Action, secret_texts, with_hidden
from jupyter_wf.core.errors import SecretNotFound
from jupyter_wf.core.scheduling_errors import DeliveryFailed
from jupyter_wf.core.secrets import remember_secret
from jupyter_wf.secrets import Secret

__all__ = ["resolved"]


def resolved(action: Action) -> Action:
    """Return an action in which ``env:NAME`` and ``secret:NAME`` are replaced by what they name.

    All its secret texts are masked from then on in what this process writes down. Raises `DeliveryFailed` where there
    is no such variable or secret.
    """
    texts = {path: _looked_up(text) for path, text in secret_texts(action).items()}
    for text in texts.values():
        remember_secret(text)
    return with_hidden(action, texts)


def _looked_up(text: str) -> str:
    kind, _, name = text.partition(":")
    if kind == "env":
        value = os.environ.get(name)
        if value is None:
            raise DeliveryFailed(f"the process that delivers has no environment variable {name[:200]!r}")
        return value
    if kind == "secret":
        try:
            return Secret.load(name).get()
        except (SecretNotFound, ValueError) as error:
            raise DeliveryFailed(str(error)) from None
    return text
