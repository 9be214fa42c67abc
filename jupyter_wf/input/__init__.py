"""Messages to flow runs, and the forms that a paused run asks for. Names are Prefect 3's."""

from __future__ import annotations

from jupyter_wf.input.models import (
    AutomaticRunInput,
    Keyset,
    RunInput,
    RunInputMetadata,
    keyset_from_base_key,
    run_input_subclass_from_type,
)
from jupyter_wf.input.receiving import GetInputHandler, receive_input, send_input

__all__ = [
    "AutomaticRunInput",
    "GetInputHandler",
    "Keyset",
    "RunInput",
    "RunInputMetadata",
    "keyset_from_base_key",
    "receive_input",
    "run_input_subclass_from_type",
    "send_input",
]
