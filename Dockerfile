# Operator and sandbox in one image. Everything that pip installs is checked against the hashes in requirements/.
#
#   docker build --tag sslorder .
#
# Without a network: fill the folder requirements/wheels where there is one, and build with --no-index.
#
#   pip download --require-hashes --only-binary=:all: --dest requirements/wheels \
#     --requirement requirements/run.txt --requirement requirements/build.txt
#   docker build --tag sslorder --build-arg PIP_FLAGS="--no-index --find-links=requirements/wheels" .
ARG PYTHON=python:3.11-slim

FROM ${PYTHON} AS build
ARG PIP_FLAGS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements/ requirements/
RUN python -m venv /build/tools && python -m venv --without-pip /opt/sslorder
RUN /build/tools/bin/pip install ${PIP_FLAGS} --require-hashes --requirement requirements/build.txt
RUN /build/tools/bin/pip --python /opt/sslorder install ${PIP_FLAGS} --require-hashes --only-binary=:all: \
    --requirement requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY operator/ operator/
RUN /build/tools/bin/hatchling build --target wheel --directory dist
RUN /build/tools/bin/pip --python /opt/sslorder install --no-index --no-deps dist/*.whl

FROM ${PYTHON}
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build /opt/sslorder /opt/sslorder
USER 65532:65532
ENTRYPOINT ["/opt/sslorder/bin/sslorder"]
CMD ["run", "--help"]
