# syntax=docker/dockerfile:1
FROM docker.io/library/python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements.txt requirements-build.txt ./
RUN python3 -m venv /opt/handraiser \
 && /opt/handraiser/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt \
 && python3 -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md ./
COPY src src
COPY templates templates
RUN /opt/build/bin/hatchling build --target wheel --directory dist \
 && /opt/handraiser/bin/pip install --no-cache-dir --disable-pip-version-check --no-index --no-deps dist/*.whl

FROM docker.io/library/python:3.11-slim-bookworm
RUN groupadd --gid 10001 handraiser \
 && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin handraiser \
 && install -d -m 0700 -o handraiser -g handraiser /var/lib/handraiser
COPY --from=build /opt/handraiser /opt/handraiser
ENV PATH=/opt/handraiser/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HANDRAISER_STATE_DIR=/var/lib/handraiser \
    HANDRAISER_LISTEN=0.0.0.0:8025
WORKDIR /var/lib/handraiser
USER 10001:10001
VOLUME /var/lib/handraiser
EXPOSE 8025
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python3", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['HANDRAISER_LISTEN'].rpartition(':')[2] + '/readyz', timeout=2)"]
ENTRYPOINT ["handraiser"]
CMD ["serve"]
