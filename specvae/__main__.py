"""``python -m specvae`` is the ``specvae`` command."""

import sys

from .cli import main

sys.exit(main())
