"""What a pause may ask for: a type, as the question of the engine that people answer with a form."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.forms import VALUE_MARK, as_form
from jupyter_wf.engine.pausing import Question
from jupyter_wf.input.models import AutomaticRunInput, run_input_subclass_from_type

__all__ = ["make_question"]


def make_question(wanted: Any) -> Question:
    """Return the question for a type, a pydantic model or a `RunInput`.

    Raises `ParameterError` for what pydantic can't read from JSON.
    """
    try:
        model = run_input_subclass_from_type(wanted)
        schema: dict[str, Any] = model.model_json_schema()
    except Exception as error:
        raise ParameterError("wait_for_input", f"{wanted!r:.100} can't be asked for: {error}") from error
    plain = issubclass(model, AutomaticRunInput)
    if plain:
        schema[VALUE_MARK] = True

    def take(given: Any) -> Any:
        try:
            # As JSON: a text stands for a date, a list for a set.
            made: Any = model.model_validate_json(json.dumps(as_form(schema, given)))
        except ValidationError as error:
            raise ValueError(_told(error)) from None
        return made.value if plain else made

    initial = json.loads(json.dumps(dict(model._initial), default=str)) or None
    return Question(take=take, schema=schema, description=model._description, initial=initial)


def _told(error: ValidationError) -> str:
    lines = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        field = ".".join(str(part) for part in fault["loc"]) or "input"
        lines.append(f"{field!r}: {fault['msg']}")
    return "; ".join(lines)
