"""``report.html``: what a run learned, how well it was tested, and where it is wrong."""
