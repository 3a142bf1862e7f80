"""Rules that name the groups of images that belong together, such as those of one patient.

==================  ===========================================================================
``column:patient``  the column of a table
``name:REGEX``      what a regular expression finds in the path within the data set: its groups
                    in parentheses, or else the whole match
``folder``          the name of the folder that the image lies in
==================  ===========================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from verydeep.errors import InputError

COLUMN, NAME, FOLDER = "column", "name", "folder"


@dataclass(frozen=True)
class GroupRule:
    """A rule that names the group of every image.

    Attributes:
        kind: ``column``, ``name`` or ``folder``.
        value: Column or regular expression; empty for ``folder``.
    """

    kind: str
    value: str = ""

    @staticmethod
    def parse(text: str) -> GroupRule:
        r"""Return the rule written as text.

        Raises:
            InputError: The text has another form.

        >>> GroupRule.parse(r"name:(patient\d+)_").kind, GroupRule.parse("folder").value
        ('name', '')
        """
        kind, colon, value = text.partition(":")
        if text == FOLDER:
            return GroupRule(FOLDER)
        if kind not in (COLUMN, NAME) or not colon or not value.strip():
            raise InputError(
                "a rule for groups must be column:NAME (a column of the table), name:REGEX (a "
                r"regular expression on the path, like name:(patient\d+)_) or folder, got "
                f"{text!r} instead"
            )
        rule = GroupRule(kind, value)
        if kind == NAME:
            rule.pattern()
        return rule

    def pattern(self) -> re.Pattern[str]:
        """Return the regular expression.

        Raises:
            InputError: It is not valid.
        """
        try:
            return re.compile(self.value)
        except re.error as error:
            raise InputError(
                f"a rule for groups: {self.value!r} is not a regular expression ({error})"
            ) from error

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}" if self.value else self.kind
