"""The page of a study in a browser: no requests, no errors, accessible, nothing cut off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from page_faults import page_faults
from synthetic_study import as_published, study, with_runs
from watched_page import watched

from verydeep.visualization.study import write_page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the pages of a finished study and of one that has just begun."""
    folder = tmp_path_factory.mktemp("pages")
    whole = with_runs(study(as_published(), range(3), 400))
    begun = replace(whole, outcomes=dict(list(whole.outcomes.items())[:3]))
    return {
        "whole": write_page(whole, folder / "whole"),
        "begun": write_page(begun, folder / "begun"),
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["whole", "begun"])
def test_a_page_of_a_study_is_whole_quiet_and_accessible(
    pages: dict[str, Path], browser: Any, name: str, scheme: str, width: int
) -> None:
    with watched(browser, pages[name], width=width, scheme=scheme) as shown:
        wide = shown.page.evaluate("document.documentElement.scrollWidth")
        faults = page_faults(shown.page)
    assert shown.asked == [pages[name].as_uri()]
    assert shown.said == []
    assert wide <= width
    assert faults == []
