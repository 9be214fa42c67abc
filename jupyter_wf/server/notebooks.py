"""The executed notebook of a run: to be read as it is, or copied to where the front end can open it."""

from __future__ import annotations

import filecmp
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from jupyter_wf.core.codec import NotebookCopyJSON
from jupyter_wf.core.errors import InvalidRequest, TargetError
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import Run
from jupyter_wf.notebook.snapshots import snapshot_path
from jupyter_wf.server.backend import Backend
from jupyter_wf.server.base import ApiHandler, may
from jupyter_wf.server.paths import SUFFIX, ContentsRoot
from jupyter_wf.server.validation import read_choice
from jupyter_wf.store.base import Store

__all__ = [
    "MAX_NOTEBOOK",
    "NotebookCopyHandler",
    "NotebookHandler",
    "copy_executed",
    "open_executed",
    "open_snapshot",
]

#: The largest notebook that is served or copied, in bytes.
MAX_NOTEBOOK = 100_000_000
_PIECE = 1 << 20
_MOST_COPIES = 1000


class NotebookHandler(ApiHandler):
    """``/api/runs/{id}/notebook``."""

    @property
    def content_security_policy(self) -> str:
        """What a browser may do with it when it is opened as a page: nothing."""
        return f"{super().content_security_policy}; sandbox"

    @may("read")
    async def get(self, run_id: str) -> None:
        """Answer with the executed notebook's bytes, as they are on the disk now."""
        self.query()
        backend = self.backend
        run = await self.read(lambda store: store.find_run(run_id))
        file = await self.read(lambda _: open_executed(backend, run))
        with file, suppress(StreamClosedError):  # whoever asked may go before the end
            self.set_header("Content-Type", "application/json")
            self.set_header("Content-Length", os.fstat(file.fileno()).st_size)
            self.set_attachment_header(f"{_stem(run)}{SUFFIX}")
            while piece := await self.read(lambda _: file.read(_PIECE)):
                self.write(piece)
                await self.flush()
            await self.finish()


class NotebookCopyHandler(ApiHandler):
    """``/api/runs/{id}/notebook/copy``."""

    @may("write")
    @may("write", "contents")
    async def post(self, run_id: str) -> None:
        """Copy a run's notebook to below the server's root; answer 201 with the copy's contents path.

        The body's ``what`` says whether it is the ``executed`` one or the ``snapshot`` of what was run.
        """
        self.query()
        what = read_choice(self.json_body(), "what", ("executed", "snapshot"))
        backend = self.backend

        def work(store: Store) -> NotebookCopyJSON:
            run = store.find_run(run_id)
            if backend.root is None:
                raise InvalidRequest("run", run.id, "this server's files are not files of its machine")
            opened = open_snapshot(backend, run) if what == "snapshot" else open_executed(backend, run)
            with opened as source:
                return {"path": copy_executed(backend.root, run, source, mark="-snapshot" * (what == "snapshot"))}

        await self.reply(work, status=201)


def open_executed(backend: Backend, run: Run) -> BufferedReader:
    """Return the executed notebook of a run, opened for reading.

    Only a plain file ``*.ipynb`` below the runs' folder or below the server's root is opened, wherever links lead:
    what a run says of itself was written by whoever made it. Raises `TargetError`; tornado's `HTTPError` 413 for a
    file of more than 100 MB.
    """
    executed = run.source.get("executed")
    if not isinstance(executed, str) or not executed.endswith(SUFFIX):
        raise TargetError(run.id, "the run has no executed notebook")
    return _open(backend, run, Path(executed), "the executed notebook", backend.settings.runs)


def open_snapshot(backend: Backend, run: Run) -> BufferedReader:
    """Return the notebook of a run as it was when it was run, opened for reading. Raises what `open_executed` does."""
    digest = run.source.get("digest")
    if not isinstance(digest, str):
        raise TargetError(run.id, "the run has no snapshot of a notebook")
    return _open(backend, run, snapshot_path(backend.settings, digest), "the snapshot", backend.settings.snapshots)


def _open(backend: Backend, run: Run, place: Path, what: str, folder: Path) -> BufferedReader:
    gone = TargetError(run.id, f"{what} is not there any more, or not where it may be read")
    try:
        path = Path(os.path.realpath(place, strict=True))
        below_root = backend.root is not None and backend.root.contents_path(path) is not None
        if not (path.is_relative_to(os.path.realpath(folder)) or below_root):
            raise gone
        # Without O_NONBLOCK a pipe of that name would hold this thread for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except (OSError, ValueError):
        raise gone from None
    file = os.fdopen(descriptor, "rb")
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_NOTEBOOK:
        file.close()
        if stat.S_ISREG(status.st_mode):
            raise HTTPError(413, f"{what} is larger than {MAX_NOTEBOOK} bytes")
        raise gone
    return file


def copy_executed(root: ContentsRoot, run: Run, source: BufferedReader, *, mark: str = "") -> str:
    """Copy a run's notebook beside the notebook that was run, or to the root where that can't be; return its path.

    ``mark`` follows the copy's name.

    The copy is there whole or not at all, and replaces nothing: a copy with the same content is used again, another
    file of that name makes a number follow the name. Raises `TargetError` where nothing can be written.
    """
    folder = _folder(root, run)
    name = f"{_stem(run)}-{short_id(run.id)}{mark}"
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".tmp") as copy:
            while piece := source.read(_PIECE):
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
            os.chmod(copy.name, 0o666 & ~_umask())
            target = _place(Path(copy.name), folder, name)
    except OSError as error:
        raise TargetError(str(folder), f"the copy can't be written there: {error.strerror}") from error
    path = root.contents_path(target)
    if path is None:
        raise TargetError(run.id, "the copy is not below the server's root")
    return path


def _place(copy: Path, folder: Path, name: str) -> Path:
    """Give a finished copy the first name that is free, or return the file that has its content already."""
    for number in range(1, _MOST_COPIES):
        target = folder / f"{name}{f'-{number}' if number > 1 else ''}{SUFFIX}"
        with suppress(FileExistsError):
            _link(copy, target)
            return target
        if not target.is_symlink() and target.is_file() and filecmp.cmp(copy, target, shallow=False):
            return target
    raise TargetError(name, f"there are {_MOST_COPIES} copies already; delete some")


def _link(copy: Path, target: Path) -> None:
    """Give ``copy`` a second name; where the file system has no links, copy it. Raises `FileExistsError`."""
    try:
        os.link(copy, target)
    except FileExistsError:
        raise
    except OSError:
        with copy.open("rb") as source, target.open("xb") as out:
            shutil.copyfileobj(source, out)


def _folder(root: ContentsRoot, run: Run) -> Path:
    # ``path`` is absolute; ``notebook`` is as somebody gave it, to the server or in a shell.
    for notebook in (run.source.get("path"), run.source.get("notebook")):
        if isinstance(notebook, str):
            with suppress(OSError, ValueError):
                # The notebook itself may be gone.
                folder = Path(os.path.realpath(root.path / notebook)).parent
                if folder.is_dir() and root.contents_path(folder) is not None and os.access(folder, os.W_OK):
                    return folder
    return root.path


def _stem(run: Run) -> str:
    """Return a file name without suffix for a run: its notebook's, cleared of what a name should not have."""
    notebook = run.source.get("notebook")
    stem = Path(notebook if isinstance(notebook, str) else run.name).stem
    safe = "".join(letter if letter.isalnum() or letter in " -_.+,()" else "_" for letter in stem).strip(" .")
    return safe[:80] or "run"


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it; the kernel tells it where there is /proc."""
    with suppress(OSError, StopIteration, ValueError), open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("Umask:")).split()[1], 8)
    return 0o077
