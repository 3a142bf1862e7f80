"""Refuse skips for a missing tool, where everything that the tests need has been installed.

``pytest --all-tools`` fails a test that is skipped for any reason but one that lies in the machine
itself, like a GPU that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

INHERENT = (
    "there is no CUDA device",
    "there is no second CUDA device",
    "bf16 is slow here",
    "this processor has bf16",
    "this user may read every file",
    "this disk",
    "there is no folder shared/data",
    "VERYDEEP_REAL_ONNX names no file",
    "needs Windows",
)
"""How the reasons begin that no installation changes. Real images may not be distributed."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-tools", action="store_true", help="Fail tests that are skipped for a missing tool."
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    return _judged(report, item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    return _judged(report, collector.config)


def _judged(
    report: pytest.TestReport | pytest.CollectReport, config: pytest.Config
) -> pytest.TestReport | pytest.CollectReport:
    """Return the report, as a failure if a tool is missing and none may be."""
    if not (config.getoption("--all-tools") and report.skipped) or hasattr(report, "wasxfail"):
        return report
    reason = skip_reason(report.longrepr)
    if not reason.startswith(INHERENT):
        report.outcome = "failed"
        report.longrepr = f"skipped for a missing tool: {reason}"
    return report


def skip_reason(longrepr: object) -> str:
    """Return why a test was skipped, in the words of the test."""
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return str(text).removeprefix("Skipped: ")
