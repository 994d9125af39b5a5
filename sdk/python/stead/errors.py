"""The one kind of error that this package makes."""

from __future__ import annotations

from typing import Any, Optional


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
    return SteadError(
        str(error.get("code", "failed")),
        str(error.get("message", "failed without a reason")),
        error,
    )


def told(error: BaseException) -> dict[str, Any]:
    """What another process is told about an exception."""
    said: dict[str, Any] = {
        "message": str(error) or type(error).__name__,
        "name": type(error).__name__,
    }
    code = getattr(error, "code", None)
    if isinstance(code, str):
        said["code"] = code
    return said
