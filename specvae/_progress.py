"""Progress bars, silent where nobody looks."""

import sys
from typing import Any

from tqdm.auto import tqdm


def progress_bar(iterable: Any = None, *, total: int | None = None, desc: str, show: bool) -> tqdm:
    """Wrap `iterable` in a bar on stderr; `show=False` draws nothing."""
    return tqdm(iterable, total=total, desc=desc, disable=not show, file=sys.stderr, leave=False)
