# One image with the four programs; docs/docker.md says how to use it, scripts/docker-build makes it.
# Slim and not Alpine: the small stacks that musl gives to threads are too small for the decoder of our messages.

# The oldest that we support, and the one that the tests run with on Debian 12.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml setup.py README.md LICENSE ./
COPY qm qm
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
RUN python -m venv /opt/qmanager && \
    /opt/qmanager/bin/python -m pip install --no-cache-dir /wheels/*.whl

FROM python:${PYTHON}-slim-bookworm
ARG VERSION=unknown
LABEL org.opencontainers.image.title="qmanager" \
      org.opencontainers.image.description="A task queue that needs nothing but Python" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"

# tini is process 1: it passes signals on, and buries what the subprocesses of tasks leave behind.
# Debian drops a package's old versions, so a pinned one would fail at the next security update.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install -y --no-install-recommends tini && \
    rm -rf /var/lib/apt/lists/*

# A fixed user, so that volumes keep their owner from one image to the next. A new volume takes the owner and the
# mode of the folder that it covers.
RUN groupadd --gid 10001 qmanager && \
    useradd --uid 10001 --gid 10001 --no-log-init --create-home --shell /usr/sbin/nologin qmanager && \
    install -d -o qmanager -g qmanager -m 0700 /var/lib/qmanager /var/lib/qmanager-key

COPY --from=build /opt/qmanager /opt/qmanager
COPY --chmod=0755 scripts/docker-entrypoint scripts/docker-health /usr/local/bin/

# QM_HOME has the store and the certificate's private key, and is the manager's alone. What a worker or a client
# needs, the key and the certificate, lies in a folder that they share.
ENV PATH=/opt/qmanager/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    QM_HOME=/var/lib/qmanager \
    QM_AUTHKEY_FILE=/var/lib/qmanager-key/authkey \
    QM_TLS=on \
    QM_TLS_CA=/var/lib/qmanager-key/tls.crt

USER 10001:10001
WORKDIR /home/qmanager
VOLUME ["/var/lib/qmanager", "/var/lib/qmanager-key"]
EXPOSE 8080 8090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["docker-health"]
ENTRYPOINT ["tini", "--", "docker-entrypoint"]
CMD ["qmanager"]
