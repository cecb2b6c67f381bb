"""Serve a model file: an image in, its detections in COCO's style out.

    pip install 'detforge[cpu]' 'ray[serve]'
    DETFORGE_MODEL=exports/gfl_r50.onnx serve run app:app
    curl --data-binary @photo.jpg localhost:8000/detect

Requests that arrive together run as one batch. `GET /health` names the model. Ray publishes the figures of every
deployment, and `detections_total`, for Prometheus.
"""

import os

from fastapi import FastAPI, HTTPException, Request
from ray import serve
from ray.serve.exceptions import BackPressureError
from ray.util.metrics import Counter
from starlette.concurrency import run_in_threadpool

from detforge.deploy import load
from detforge.deploy.inputs.image import decode_image
from detforge.deploy.system.errors import InputError

MODEL = os.environ.get("DETFORGE_MODEL", "gfl_markers")
BATCH, WAIT = 8, 0.01  # images in a run at most; seconds that the first of them waits for others
QUEUE = int(os.environ.get("DETFORGE_QUEUE", "64"))  # requests that wait at most; the others are refused
LARGEST = 32 << 20  # bytes of a request


@serve.deployment(max_ongoing_requests=2 * BATCH)
class Detections:
    """One loaded model. `num_replicas` and `ray_actor_options` of the deployment say how many there are, and where."""

    def __init__(self, model: str) -> None:
        self.detector = load(model)
        self.detected = Counter("detections_total", "objects found")

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=WAIT)
    async def __call__(self, images: list) -> list[list[dict]]:
        found = await run_in_threadpool(self.detector, images)
        if count := sum(map(len, found)):
            self.detected.inc(count)
        return [each.to_coco() for each in found]


api = FastAPI(title="detforge")


@serve.deployment(max_ongoing_requests=1000)
@serve.ingress(api)
class Gate:
    """Checks and decodes images, so that bad ones never reach the model."""

    def __init__(self, detections: serve.handle.DeploymentHandle) -> None:
        self.detections = detections

    @api.get("/health")
    def health(self) -> dict[str, str]:
        return {"model": MODEL}

    @api.post("/detect")
    async def detect(self, request: Request) -> list[dict]:
        data = bytearray()
        async for part in request.stream():
            data += part
            if len(data) > LARGEST:
                raise HTTPException(413, f"the image has more than {LARGEST >> 20} MiB; send a smaller one")
        try:
            image = await run_in_threadpool(decode_image, bytes(data), "the request's body")
        except InputError as error:
            raise HTTPException(400, str(error)) from None
        try:
            return await self.detections.remote(image)
        except BackPressureError:
            raise HTTPException(503, "too many requests wait; try again", {"Retry-After": "1"}) from None


app = Gate.bind(Detections.options(max_queued_requests=QUEUE).bind(MODEL))
