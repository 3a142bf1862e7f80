"""The paper again by one call: trainings, tests, verdicts and a page in one folder."""
