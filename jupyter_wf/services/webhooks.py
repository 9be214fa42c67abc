"""Telling a URL what has happened: a JSON body, signed where a secret is given."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from jupyter_wf._version import __version__
from jupyter_wf.core.automations import Occasion
from jupyter_wf.core.codec import iso
from jupyter_wf.core.scheduling_errors import DeliveryFailed
from jupyter_wf.core.secrets import mask_values
from jupyter_wf.services.targets import Allowed, post

__all__ = ["DELIVERY_HEADER", "SIGNATURE_HEADER", "TIMESTAMP_HEADER", "call_webhook", "signature", "webhook_body"]

DELIVERY_HEADER = "X-Jupyter-WF-Delivery"
SIGNATURE_HEADER = "X-Jupyter-WF-Signature"
TIMESTAMP_HEADER = "X-Jupyter-WF-Timestamp"
#: Refusals that are no final ones: too early, too many, try again.
_LATER = frozenset((408, 409, 423, 425, 429))


def webhook_body(occasion: Occasion, automation: str, delivery: str) -> bytes:
    """Return what is sent of an occasion, as JSON in UTF-8; ``delivery`` is the same for each try of the same thing."""
    value: dict[str, Any] = {
        "delivery": delivery,
        "automation": automation,
        "event": occasion.event,
        "at": iso(occasion.at),
        "message": occasion.message,
        "deployment": occasion.deployment and {"id": occasion.deployment_id, "address": occasion.deployment},
        "run": occasion.run_id
        and {
            "id": occasion.run_id,
            "name": occasion.run_name,
            "flow_name": occasion.flow_name,
            "attempt": occasion.attempt,
            "tags": list(occasion.tags),
            "state": {"type": occasion.state_type, "name": occasion.state_name},
        },
    }
    return json.dumps(mask_values(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return what `SIGNATURE_HEADER` says: ``sha256=`` and the HMAC of ``timestamp.body`` in hexadecimal."""
    signed = timestamp.encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def call_webhook(
    url: str,
    body: bytes,
    *,
    delivery: str,
    now: float,
    secret: str | None = None,
    headers: Mapping[str, str] | None = None,
    allowed: Allowed,
) -> str:
    """Send a body, and say in a word what was answered.

    Raises `DeliveryFailed` for every answer but a 2xx, final where trying again would change nothing, and what `post`
    raises.
    """
    timestamp = str(int(now))
    sent = {
        **(headers or {}),
        "Content-Type": "application/json",
        "User-Agent": f"jupyter_wf/{__version__}",
        DELIVERY_HEADER: delivery,
        TIMESTAMP_HEADER: timestamp,
    }
    if secret:
        sent[SIGNATURE_HEADER] = signature(secret, timestamp, body)
    answer = post(url, body, sent, allowed=allowed)
    if 200 <= answer.status < 300:
        return f"answered {answer.status}"
    if 300 <= answer.status < 400:
        raise DeliveryFailed(f"it answered {answer.status}: redirects are not followed, give the final URL", final=True)
    final = 400 <= answer.status < 500 and answer.status not in _LATER
    raise DeliveryFailed(f"it answered {answer.status}", final=final)
