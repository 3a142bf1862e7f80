"""The page of a study: verdicts, tables, curves and cost."""

from verydeep.visualization.study.page import WRITTEN, write_page

__all__ = ["WRITTEN", "write_page"]
