"""The worker's log: one JSON object a line, in a file that does not grow for good."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["Journal"]

_BYTES, _FILES = 1 << 20, 3
"""Size at which the file is set aside, and how many are kept aside."""


class Journal:
    """Writes events. May be used from several threads; a full disk loses lines and nothing else.

    Parameters
    ----------
    path : Path or None
        The file; None writes to stderr.
    """

    def __init__(self, path: Path | None) -> None:
        self._handler: logging.Handler
        if path is None:
            self._handler = logging.StreamHandler(sys.stderr)
        else:
            self._handler = logging.handlers.RotatingFileHandler(
                path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8", delay=True
            )
        # What can't be written is lost; a traceback on stderr would help nobody.
        self._handler.handleError = lambda record: None  # type: ignore[method-assign]

    def write(self, event: str, error: BaseException | None = None, **facts: Any) -> None:
        """Write what happened, with the traceback of an error that nobody expected."""
        told: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            **facts,
        }
        if error is not None:
            told["traceback"] = "".join(traceback.format_exception(error))
        line = json.dumps(told, ensure_ascii=False, default=str)
        self._handler.handle(logging.makeLogRecord({"msg": "%s", "args": (line,)}))

    def close(self) -> None:
        """Give the file up."""
        self._handler.close()
