"""Results that are also mappings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any


class MappingResult(Mapping[str, Any]):
    """A result that is also a mapping of the plain values in its :meth:`to_dict`."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as in JSON."""

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())
