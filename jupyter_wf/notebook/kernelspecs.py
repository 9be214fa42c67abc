"""The kernels that are installed, by the names of their kernelspecs."""

from __future__ import annotations

from typing import Any

from jupyter_client.kernelspec import KernelSpecManager

__all__ = ["kernel_specs"]


def kernel_specs() -> dict[str, str]:
    """Return the name that people see of each installed kernel, by its kernelspec's name."""
    found: dict[str, Any] = KernelSpecManager().get_all_specs()
    return {name: str(each.get("spec", {}).get("display_name") or name) for name, each in sorted(found.items())}
