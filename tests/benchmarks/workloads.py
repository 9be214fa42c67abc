"""The work that is measured: each function does n trivial tasks, and says how many plain calls that would be."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["HELLO", "WORK"]

HELLO = """
from jupyter_wf import task, flow
@task
def say_hello(): print("Hello, world!")
@task
def greet(name): print(f"Hello, {name}!")
@flow
def main():
    hello = say_hello()
    greet_hello = greet("Prefect")
if __name__ == "__main__":
    print(main())
"""


def _same(x: int) -> int:
    return x


def sequence(n: int) -> None:
    """Call a trivial task n times."""
    from jupyter_wf import flow, task

    nothing = task(_same)

    @flow
    def main() -> None:
        for i in range(n):
            nothing(i)

    main()


def mapped(n: int) -> None:
    """Map a trivial task over n numbers, on threads."""
    from jupyter_wf import flow, task

    nothing = task(_same)

    @flow
    def main() -> None:
        nothing.map(range(n)).result()

    main()


def chain(n: int) -> None:
    """Submit n tasks, each with the future of the one before."""
    from jupyter_wf import flow, task

    nothing = task(_same)

    @flow
    def main() -> None:
        future = nothing.submit(0)
        for _ in range(n - 1):
            future = nothing.submit(future)
        future.result()

    main()


def gather(n: int) -> None:
    """Gather n awaitables of a trivial async task."""
    import asyncio

    from jupyter_wf import flow, task

    @task
    async def nothing(x: int) -> int:
        return x

    @flow
    async def main() -> None:
        await asyncio.gather(*[nothing(i) for i in range(n)])

    asyncio.run(main())


def durable(n: int) -> None:
    """Call a trivial task n times, each committed before the next is called."""
    from jupyter_wf import flow, task

    nothing = task(_same, durable=True)

    @flow
    def main() -> None:
        for i in range(n):
            nothing(i)

    main()


WORK: dict[str, Callable[[int], None]] = {f.__name__: f for f in (sequence, mapped, chain, gather, durable)}
