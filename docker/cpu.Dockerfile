# detinfer, detbench and the library on a CPU:
#   docker build -f docker/cpu.Dockerfile -t detforge .
#   docker run --rm --read-only --tmpfs /tmp -v "$PWD:/data" --user "$(id -u)" detforge photos/ --json -
FROM python:3.13-slim-trixie AS build
# A pinned version is gone with the next update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels -C cmake.define.DETFORGE_CUDA=OFF /source

FROM python:3.13-slim-trixie
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir "$(echo /wheels/*.whl)[cpu,eval,jpeg]"
# Nothing is written outside the working folder and /tmp.
ENV PYTHONDONTWRITEBYTECODE=1 XDG_CACHE_HOME=/tmp HOME=/tmp
WORKDIR /data
USER 10001:10001
ENTRYPOINT ["detinfer"]
CMD ["--help"]
