# The worker's image: no compiler, no pip, no shell needed; runs read-only, without capabilities, as uid 10001.
#   docker build -t dzgrant .
#   docker run --read-only --cap-drop ALL --env-file settings.env dzgrant
# For a build of record, give the base by digest: --build-arg PYTHON=python:3.12-slim@sha256:...
ARG PYTHON=python:3.12-slim

FROM ${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/ requirements/
RUN python -m venv --without-pip /opt/dzgrant \
 && pip --python /opt/dzgrant install --require-hashes -r requirements/run.txt \
 && pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY deploy/ecs/ledger.yaml deploy/ecs/
COPY src/ src/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
 && pip --python /opt/dzgrant install --no-deps /tmp/wheel/*.whl

FROM ${PYTHON}
# What Microsoft's ODBC driver, which comes in a wheel, needs of the system.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgssapi-krb5-2 libodbc2 libodbcinst2 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
 && groupadd --gid 10001 dzgrant \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin dzgrant
COPY --from=build /opt/dzgrant /opt/dzgrant
ENV PATH=/opt/dzgrant/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
LABEL org.opencontainers.image.title="dzgrant" \
      org.opencontainers.image.description="Access to tables in relational databases, because an Amazon DataZone subscription says so" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('DZGRANT_HTTP_PORT', '8080') + '/livez', timeout=4)"]
ENTRYPOINT ["dzgrant"]
CMD ["run"]
