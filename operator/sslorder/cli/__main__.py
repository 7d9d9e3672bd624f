"""`python -m sslorder.cli`, the same as `sslorder`."""

import sys

from sslorder.cli.main import main

sys.exit(main())
