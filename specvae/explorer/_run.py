"""What an event of the page asks for: errors are shown, and what piles up is done once."""

import logging
from collections.abc import Callable
from typing import Any

_LOG = logging.getLogger(__name__)
# Events of a slider that is dragged come faster than a network decodes. Those that arrive within
# this time are answered together.
_TOGETHER_MS = 15


class Runner:
    """Calls functions for events.

    What an event asks for runs under the lock of the document, without which Bokeh lets nobody
    change a figure: panel answers its own widgets without.

    Parameters
    ----------
    document : bokeh Document or None
        That of the page; without a session behind it everything is done at once.
    show : callable
        Takes the message of an error.
    """

    def __init__(self, document: Any, show: Callable[[str], None]):
        self._document = document
        self._show = show
        self._waiting: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def __call__(
        self, function: Callable[..., None], *arguments: Any, together: str | None = None
    ) -> None:
        """Call the function soon; `together` names what may be answered together, by the last."""
        if getattr(self._document, "session_context", None) is None:
            self._guarded(function, arguments)
        elif together is None:
            self._document.add_next_tick_callback(lambda: self._guarded(function, arguments))
        else:
            is_scheduled = together in self._waiting
            self._waiting[together] = (function, arguments)
            if not is_scheduled:
                self._document.add_timeout_callback(lambda: self._flush(together), _TOGETHER_MS)

    def _flush(self, together: str) -> None:
        self._guarded(*self._waiting.pop(together))

    def _guarded(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        try:
            function(*arguments)
        # Whatever goes wrong belongs on the page: an exception here would leave it dead.
        except Exception as error:
            _LOG.exception("the explorer could not answer")
            self._show(f"{type(error).__name__}: {error}")
