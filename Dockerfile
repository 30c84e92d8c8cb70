# The worker's image: no compiler, no pip, no shell needed; runs read-only, without capabilities, as uid 10001.
#   make image
#   docker run --read-only --cap-drop ALL --env-file settings.env dzgrant
# For a build of record, give the base by digest: make image PYTHON_IMAGE=python:3.12-slim@sha256:...
# The target `demo` has the embedded AWS beside it, for docker-compose.yml.
ARG PYTHON=python:3.12-slim

FROM ${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/ requirements/
RUN python -m venv --without-pip /opt/dzgrant \
 && pip --python /opt/dzgrant install --require-hashes -r requirements/run.txt \
 && pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY deploy/ deploy/
COPY src/ src/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
 && pip --python /opt/dzgrant install --no-deps /tmp/wheel/*.whl

FROM build AS build-demo
RUN pip --python /opt/dzgrant install --require-hashes -r requirements/local.txt

FROM ${PYTHON} AS system
# What Microsoft's ODBC driver, which comes in a wheel, needs of the system. The interpreter's own pip goes.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgssapi-krb5-2 libodbc2 libodbcinst2 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
 && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/site-packages/pip* \
 && groupadd --gid 10001 dzgrant \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin dzgrant
ENV PATH=/opt/dzgrant/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
ENTRYPOINT ["dzgrant"]

FROM system AS demo
RUN install -d -o 10001 -g 10001 /tls
COPY --from=build-demo /opt/dzgrant /opt/dzgrant
USER 10001:10001
CMD ["demo"]

FROM system AS worker
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="dzgrant" \
      org.opencontainers.image.description="Access to tables in relational databases, because an Amazon DataZone subscription says so" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/dzgrant /opt/dzgrant
USER 10001:10001
# Where the root is read-only, an orchestrator makes a volume of this, with these permissions.
VOLUME ["/tmp"]
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "dzgrant.alive"]
CMD ["run"]
