import sys

from sslorder.sandbox.command import main

sys.exit(main(sys.argv[1:]))
