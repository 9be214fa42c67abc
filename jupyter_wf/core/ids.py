"""Identifiers of runs and the friendly names of flow runs."""

from __future__ import annotations

import os

__all__ = ["new_id", "run_name", "short_id"]

_ADJECTIVE_TEXT = """
    amber bold brave bright calm clear clever coral crisp daring eager early fair fleet gentle glad golden
    grand happy hardy hazel honest jolly keen kind lively lucid lucky mellow merry mighty nimble noble
    patient plucky polite proud quick quiet ready rosy serene sharp shiny silent silver smart snowy solid
    spry steady sunny swift tidy upbeat vivid warm wise witty young zesty
"""
_ANIMAL_TEXT = """
    badger beaver bison bobcat camel condor crane curlew dingo dolphin eagle egret falcon ferret finch fox
    gecko gibbon heron hornet ibex ibis impala jackal jaguar kestrel kiwi koala lemur leopard linnet lizard
    llama lynx magpie marmot marten mole narwhal newt ocelot okapi orca osprey otter owl panda petrel plover
    puffin python quail raven robin salmon seal shrew skylark sparrow stork swan tapir tern tiger toucan
    turtle urchin vole walrus wombat wren yak zebra
"""
_ADJECTIVES = tuple(_ADJECTIVE_TEXT.split())
_ANIMALS = tuple(_ANIMAL_TEXT.split())


# Randomness for the next ids: to ask the system for each of them would take longer than the rest of a task's record,
# and give the interpreter's lock away each time. The first draw is small, for programs that run a few tasks.
_random: list[str] = []
_FIRST, _NEXT = 64, 8192
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.clear)


def _draw(number: int) -> list[str]:
    many = os.urandom(16 * number).hex()
    return [many[i : i + 32] for i in range(0, len(many), 32)]


_random.extend(_draw(_FIRST))


def new_id() -> str:
    """Return a new random run id: a version-4 UUID as 36 lower-case characters (RFC 9562)."""
    try:
        h = _random.pop()
    except IndexError:
        _random.extend(_draw(_NEXT))
        h = _random.pop()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"


def short_id(run_id: str) -> str:
    """Return the first eight characters of a run id, enough to name it among thousands."""
    return run_id[:8]


def run_name() -> str:
    """Return a random two-word name for a flow run, such as ``brave-otter`` (the habit is Prefect's)."""
    a, b, c = os.urandom(3)
    return f"{_ADJECTIVES[(a * 256 + c) % len(_ADJECTIVES)]}-{_ANIMALS[(b * 256 + c) % len(_ANIMALS)]}"
