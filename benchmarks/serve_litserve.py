"""LitServe with torchvision's vgg16 in batches, as its documentation shows.

python benchmarks/serve_litserve.py PORT
"""

from __future__ import annotations

import io
import sys
from typing import Any

import litserve
import torch
from fastapi import Request
from PIL import Image
from torchvision import transforms
from torchvision.models import vgg16


class Classify(litserve.LitAPI):  # type: ignore[misc]
    """Names what is on images, 16 at a time."""

    def setup(self, device: str) -> None:
        """Load the net, with random weights."""
        self.net = vgg16().eval().to(device)
        self.prepare = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def decode_request(self, request: Any) -> torch.Tensor:
        """Return the input of the net."""
        image = Image.open(io.BytesIO(request["file"].file.read())).convert("RGB")
        made: torch.Tensor = self.prepare(image)
        return made

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """Return several inputs as one."""
        return torch.stack(inputs)

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """Return the probabilities."""
        with torch.no_grad():
            return torch.softmax(self.net(x), 1)

    def unbatch(self, output: torch.Tensor) -> list[torch.Tensor]:
        """Return the probabilities of each image."""
        return [*output]

    def encode_response(self, output: torch.Tensor) -> dict[str, Any]:
        """Return the likeliest class."""
        return {"class": int(output.argmax()), "probability": float(output.max())}


# LitServe reads these annotations, which are text so far.
Classify.decode_request.__annotations__ = {"request": Request}
Classify.encode_response.__annotations__ = {}

if __name__ == "__main__":
    server = litserve.LitServer(
        Classify(max_batch_size=16, batch_timeout=0.005), accelerator="cpu", timeout=120
    )
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
