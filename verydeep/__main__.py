"""``python -m verydeep`` is ``verydeep``."""

from verydeep.cli import main

main()
