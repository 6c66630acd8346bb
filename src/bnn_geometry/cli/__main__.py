"""``python -m bnn_geometry.cli``."""

import sys

from bnn_geometry.cli import main

sys.exit(main())
