"""What models share whose nets were made for crops of one size."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from verydeep.errors import InputError


class CropSized:
    """Base of models with an input size and named classes. It needs no PyTorch.

    Attributes:
        classes: Names of the K classes.
        titles: Display names of classes, where they differ from the names.
    """

    classes: tuple[str, ...]
    titles: Mapping[str, str]

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Side of the smallest accepted image, in pixels."""

    @property
    def resize_size(self) -> int:
        """Smallest side in torchvision's evaluation, in pixels: 256 for crops of 224."""
        return round(256 * self.input_size / 224)

    def check_scale(self, scale: int) -> None:
        """Refuse a test scale below the input size.

        Raises:
            InputError: ``scale`` is below ``input_size``.
        """
        if scale < self.input_size:
            raise InputError(
                f"test scale must be at least {self.input_size}, the size that this net was made "
                f"for; got {scale} instead"
            )

    def title(self, label: int) -> str:
        """Return the display name of a class."""
        return self.titles.get(self.classes[label], self.classes[label])
