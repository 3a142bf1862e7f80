"""A server as people write it: FastAPI and torchvision's vgg16, one image a request.

    python benchmarks/serve_plain.py PORT

With FastAPI if it is installed, else with Starlette, which FastAPI is made of. The net has random
weights; the handler is an ordinary function, which both run in a pool of threads.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import torch
import uvicorn
from PIL import Image
from torchvision import transforms
from torchvision.models import vgg16

net = vgg16().eval()
prepare = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)


def answer(data: bytes) -> dict[str, Any]:
    """Return the likeliest class of an image."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    with torch.no_grad():
        likely = torch.softmax(net(prepare(image)[None]), 1)[0]
    return {"class": int(likely.argmax()), "probability": float(likely.max())}


def with_fastapi() -> Any:
    """Return the application."""
    from fastapi import FastAPI, File

    app = FastAPI()

    def predict(file: bytes = File()) -> dict[str, Any]:
        return answer(file)

    # The annotations are text, which FastAPI would look for among the globals of the module.
    predict.__annotations__ = {"file": bytes}
    app.post("/predict")(predict)
    return app


def with_starlette() -> Any:
    """Return the application."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def predict(request: Request) -> JSONResponse:
        async with request.form() as form:
            data = await form["file"].read()  # type: ignore[union-attr]
        return JSONResponse(await run_in_threadpool(answer, data))

    return Starlette(routes=[Route("/predict", predict, methods=["POST"])])


if __name__ == "__main__":
    try:
        made = with_fastapi()
    except ImportError:
        made = with_starlette()
    print(f"framework: {type(made).__module__.partition('.')[0]}", file=sys.stderr, flush=True)
    uvicorn.run(made, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
