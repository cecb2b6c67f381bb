# As cpu.Dockerfile, with ONNX Runtime for CUDA, TensorRT and our libraries for both:
#   docker build -f docker/cuda.Dockerfile -t detforge-cuda .
#   docker run --rm --gpus all --read-only --tmpfs /tmp -v "$PWD:/data" --user "$(id -u)" detforge-cuda photos/ --device cuda:0
FROM nvidia/cuda:12.9.1-devel-ubuntu24.04 AS build
# A pinned version is gone with the next update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-dev python3-pip \
    && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels -C cmake.define.DETFORGE_CUDA=OFF /source \
    && pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source/wheels/cuda

# No CUDA here: its libraries come with the packages of the extras. The glibc must be as new as the one above.
FROM python:3.12-slim-trixie
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir "$(echo /wheels/detforge-0*.whl)[gpu,tensorrt,eval,jpeg]" /wheels/detforge_cuda-*.whl
ENV PYTHONDONTWRITEBYTECODE=1 XDG_CACHE_HOME=/tmp HOME=/tmp
WORKDIR /data
USER 10001:10001
ENTRYPOINT ["detinfer"]
CMD ["--help"]
