# One image for the agent, the gateway and session-store. It builds with and without BuildKit.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm
ARG NODE_IMAGE=node:24.11.1-bookworm-slim

FROM ${NODE_IMAGE} AS page
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-fund --no-audit --loglevel=error
COPY web/ ./
RUN npm run build

FROM ${PYTHON_IMAGE} AS packages
ENV UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY requirements/tool-uv.txt requirements/
RUN python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --require-hashes --requirement requirements/tool-uv.txt
COPY requirements/runtime.txt requirements/
RUN /opt/uv/bin/uv venv --quiet /opt/rejoin \
    && /opt/uv/bin/uv pip install --quiet --python /opt/rejoin --no-deps --only-binary :all: \
        --require-hashes --requirement requirements/runtime.txt \
    && rm -rf /opt/rejoin/lib/python*/site-packages/numpy/*/tests \
    # The root file system is read-only later, so bytecode is made now. Bytecode with a digest of its
    # source is the same in each build, and Python does not check it again.
    && /opt/rejoin/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/rejoin
# The library itself, built with the tools of the lock file.
COPY requirements/dev.txt requirements/
COPY pyproject.toml README.md LICENSE livekit_rejoin.py ./
COPY session_store/ session_store/
RUN /opt/uv/bin/uv pip install --quiet --python /opt/rejoin --no-deps \
        --build-constraints requirements/dev.txt . \
    # This file holds the time of the build.
    && rm /opt/rejoin/lib/python*/site-packages/livekit_rejoin-*.dist-info/uv_cache.json \
    && sed -i /uv_cache.json/d /opt/rejoin/lib/python*/site-packages/livekit_rejoin-*.dist-info/RECORD
COPY agent/ /srv/rejoin/agent/
COPY demo_models/ /srv/rejoin/demo_models/
COPY gateway/ /srv/rejoin/gateway/
COPY deploy/healthy.py /srv/rejoin/deploy/
COPY deploy/smoke/talk.py /srv/rejoin/deploy/smoke/
COPY --from=page /src/web/dist/ /srv/rejoin/web/dist/
RUN /opt/rejoin/bin/python -m compileall -q --invalidation-mode unchecked-hash \
        /srv/rejoin /opt/rejoin/lib/python*/site-packages/session_store \
    # A new volume takes the owner of its mount point.
    && install -d -m 700 -o 10001 -g 10001 /var/lib/rejoin/spool /var/lib/rejoin/journal

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Rejoin" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=packages /opt/rejoin/ /opt/rejoin/
COPY --from=packages /srv/rejoin/ /srv/rejoin/
COPY --from=packages /var/lib/rejoin/ /var/lib/rejoin/
ENV PATH=/opt/rejoin/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    AGENT_HTTP_HOST=0.0.0.0 \
    AGENT_READY_FILE=/tmp/ready \
    GATEWAY_HOST=0.0.0.0
WORKDIR /srv/rejoin
USER 10001:10001
# The agent's health check; the gateway's is in docker-compose.yml.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-ISB", "deploy/healthy.py", "http://127.0.0.1:8081/", "/tmp/ready"]
CMD ["python", "-m", "agent"]
