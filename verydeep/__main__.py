"""``python -m verydeep`` is ``verydeep``."""

from verydeep.cli.app import main

main()
