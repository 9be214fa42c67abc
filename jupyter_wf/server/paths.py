"""Contents paths: how the front end names a file (``folder/name.ipynb``, below the server's root) and where it lies."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from jupyter_server.services.contents.fileio import FileManagerMixin
from jupyter_server.services.contents.manager import ContentsManager

from jupyter_wf.core.errors import InvalidRequest, TargetError
from jupyter_wf.server.validation import no_control_characters

__all__ = ["SUFFIX", "ContentsRoot"]

_MAX_PATH = 4096
SUFFIX = ".ipynb"
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentsRoot:
    """The folder that the server shows. ``path`` is absolute and without symbolic links.

    ``allow_hidden`` is the contents manager's: whether files whose name begins with a dot may be opened.
    """

    path: Path
    allow_hidden: bool = False

    @classmethod
    def of(cls, manager: ContentsManager) -> ContentsRoot | None:
        """Return the root of a contents manager, None where its files are not files of this machine."""
        if not isinstance(manager, FileManagerMixin):
            return None
        return cls(path=Path(os.path.realpath(manager.root_dir)), allow_hidden=bool(manager.allow_hidden))

    def notebook(self, given: str) -> Path:
        """Return where the notebook lies whose contents path was given, as an absolute path without links.

        Raises `InvalidRequest` for what is no contents path of a notebook (absolute, ``..``, a drive, control
        characters, too long, another suffix) and `TargetError` where no such file may be opened.
        """
        self._check_form(given)
        target = self.path.joinpath(*given.split("/"))
        try:
            found = Path(os.path.realpath(target, strict=True))
            is_file = found.is_file()
        except (OSError, ValueError):
            raise TargetError(given, "there is no such notebook below the server's root") from None
        if not found.is_relative_to(self.path) or self._is_hidden(target) or self._is_hidden(found):
            raise TargetError(given, "there is no such notebook below the server's root")
        if not is_file:
            raise InvalidRequest("notebook", given, "it is not a file")
        return found

    def contents_path(self, path: str | Path) -> str | None:
        """Return the contents path of a file or folder, None where it does not lie (visibly) below the root."""
        try:
            found = Path(os.path.realpath(path))
        except (OSError, ValueError):
            return None
        if not found.is_relative_to(self.path) or self._is_hidden(found):
            return None
        return "" if found == self.path else found.relative_to(self.path).as_posix()

    def _is_hidden(self, path: Path) -> bool:
        return not self.allow_hidden and any(part.startswith(".") for part in path.relative_to(self.path).parts)

    @staticmethod
    def _check_form(given: str) -> None:
        if not 1 <= len(given) <= _MAX_PATH:
            raise InvalidRequest("notebook", given, f"a path has 1 to {_MAX_PATH} characters")
        no_control_characters("notebook", given)
        if given.startswith("/") or _DRIVE.match(given) or (os.sep == "\\" and "\\" in given):
            raise InvalidRequest("notebook", given, "give a path below the server's root, not an absolute one")
        if any(part in ("", ".", "..") for part in given.split("/")):
            raise InvalidRequest("notebook", given, "a path has no empty parts, no '.' and no '..'")
        if not given.endswith(SUFFIX):
            raise InvalidRequest("notebook", given, f"a notebook's name ends in {SUFFIX}")
