"""Messages to e-mail, Slack, Teams and the many others that Apprise knows, each sent by a process that ends then."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

from jupyter_wf.core.scheduling_errors import DeliveryFailed, TargetRefused
from jupyter_wf.core.secrets import mask
from jupyter_wf.services.targets import TIMEOUT, Allowed

__all__ = ["send_message"]

#: Seconds for the whole process; Apprise itself has `TIMEOUT` for its call.
_PATIENCE = 60.0
#: What of the environment such a process needs; it shall have no secrets of others.
_PASSED = re.compile(
    r"PATH|HOME|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|PYTHON\w*|VIRTUAL_ENV|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|LD_LIBRARY_PATH|SYSTEMROOT|(?:https?|all|no)_proxy|(?:HTTPS?|ALL|NO)_PROXY"
)


def send_message(url: str, title: str, body: str, *, allowed: Allowed) -> None:
    """Send a message to an Apprise URL.

    Raises `TargetRefused` where its service is inside of this machine or network, `DeliveryFailed` where it was not
    sent. No message of theirs holds the URL, which must be known to `remember_secret`.
    """
    given = json.dumps({"url": url, "title": title, "body": body, "allowed": allowed.entry()})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "jupyter_wf.services.apprise_main"],
            input=given,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            env={name: value for name, value in os.environ.items() if _PASSED.fullmatch(name)},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DeliveryFailed(f"the message was not sent within {_PATIENCE:g} s") from None
    except OSError as error:
        raise DeliveryFailed(f"the process that sends messages can't be started: {error.strerror}") from None
    if done.returncode == -signal.SIGALRM:
        raise DeliveryFailed(f"the service did not answer within {TIMEOUT:g} s")
    try:
        said = json.loads(done.stdout)
        why, refused = said["why"], said["refused"]
    except (ValueError, TypeError, KeyError):
        raise DeliveryFailed(f"the process that sends messages has failed (exit code {done.returncode})") from None
    if refused:
        raise TargetRefused(mask(str(why)))
    if why is not None:
        raise DeliveryFailed(mask(str(why)))
