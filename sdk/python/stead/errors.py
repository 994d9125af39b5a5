"""The one kind of error that this package makes."""

from __future__ import annotations

import json
import traceback
from typing import Any, Optional

#: So many of the last calls are told of what was raised.
STACK_MAX = 20


class SteadError(Exception):
    """Why something was not done; `code` is for programs, the text for people."""

    def __init__(self, code: str, message: str, cause: Optional[dict[str, Any]] = None) -> None:
        super().__init__(message)
        self.code = code
        #: What the program that failed said of its error: `name`, `message`, `stack`.
        self.cause = cause


def received(error: Any) -> SteadError:
    """The error in an answer."""
    if not isinstance(error, dict):
        return SteadError("failed", str(error))
    message, hint = str(error.get("message", "failed without a reason")), error.get("hint")
    text = f"{message}; {hint}" if hint else message
    return SteadError(str(error.get("code", "failed")), text, error)


def told(error: BaseException) -> dict[str, Any]:
    """What another process is told about an exception."""
    said: dict[str, Any] = {
        "message": str(error) or type(error).__name__,
        "name": type(error).__name__,
    }
    code = getattr(error, "code", None)
    if isinstance(code, str):
        said["code"] = code
    if error.__traceback__ is not None:
        lines = traceback.format_exception(
            type(error), error, error.__traceback__, limit=-STACK_MAX
        )
        said["stack"] = "".join(lines)
    return said


def sendable(value: Any) -> bytes:
    """A value as JSON on one line."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise SteadError("bad_message", f"this cannot be sent: {error}") from error
