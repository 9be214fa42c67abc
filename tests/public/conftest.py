"""What tests of the public names ask of the store: the same as those of the engine."""

from __future__ import annotations

from tests.engine.conftest import runs, runtime, story

__all__ = ["runs", "runtime", "story"]
