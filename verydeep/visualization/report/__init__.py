"""``report.html``: learning curves, test results and errors of a run."""
