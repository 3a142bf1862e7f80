"""Images that fail during training: found by any process, recorded by all."""

from __future__ import annotations

from dataclasses import dataclass, field

from verydeep.data.pipeline.colour_statistics import check_unreadable
from verydeep.system.group.distributed import Group
from verydeep.system.progress import Progress

MOST_REPORTED = 10
"""Maximum number of reported images that fail during training; all are recorded."""


@dataclass
class UnreadableImages:
    """Images that were readable before but are not now.

    Attributes:
        group: Processes that read images.
        limit: Maximum share of images that may fail.
        progress: Progress reporter.
        new: Names and reasons that this process has found and not told the others.
    """

    group: Group
    limit: float
    progress: Progress
    new: list[str] = field(default_factory=list)

    def record(self, listed: list[str], pictures: int) -> None:
        """Add what all processes have found to a list; report the first images.

        Args:
            listed: Those found before.
            pictures: Images per epoch.

        Raises:
            DataError: Too many images have failed.
        """
        found = [fault for some in self.group.gather(tuple(self.new)) for fault in some]
        self.new.clear()
        for fault in found:
            if fault in listed:
                continue
            listed.append(fault)
            if len(listed) <= MOST_REPORTED:
                self.progress.log(f"unreadable, skipped in training: {fault}")
            elif len(listed) == MOST_REPORTED + 1:
                self.progress.log("more unreadable images will be listed in metrics.json")
        check_unreadable(listed, pictures, self.limit)
