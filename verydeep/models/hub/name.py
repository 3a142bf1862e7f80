"""Names of models on the Hugging Face Hub: ``hf:owner/name`` or ``hf:owner/name@revision``.

This module imports neither torch nor ``huggingface_hub``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from verydeep.errors import ModelError, printable

SCHEME = "hf:"

_FORM = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?", re.ASCII)


@dataclass(frozen=True)
class HubName:
    """A model on the Hub.

    Attributes:
        repository: Owner and name, as in ``ada/pets``.
        revision: Branch, tag or commit; None for the main branch.
    """

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}" + f"@{self.revision}" * bool(self.revision)

    @classmethod
    def of(cls, text: str | Path) -> HubName:
        """Parse a name; the scheme may be left out.

        Raises:
            ModelError: The text has another form.

        >>> HubName.of("hf:ada/pets@v1.0")
        HubName(repository='ada/pets', revision='v1.0')
        """
        found = _FORM.fullmatch(str(text).removeprefix(SCHEME))
        if found is None or ".." in str(text) or "--" in found["repository"]:
            raise ModelError(
                f"{printable(text)}: must be like hf:owner/name or hf:owner/name@revision"
            )
        return cls(found["repository"], found["revision"])


def is_hub_name(model: object) -> bool:
    """Return whether a value names a model on the Hub, and no folder of that name exists.

    >>> is_hub_name("hf:ada/pets"), is_hub_name("runs/a")
    (True, False)
    """
    named = isinstance(model, str | Path) and str(model).startswith(SCHEME)
    return named and not Path(str(model)).exists()
