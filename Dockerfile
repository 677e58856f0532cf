# Two images: `serve`, the functions for Cloud Run, and `landing`, the Beam job as a Dataflow Flex Template.
#
#   docker build --target=serve --tag=serve .
#   docker run --rm --publish=8080:8080 --volume="$PWD/models:/models:ro" --env=MODELS_URI=/models serve
#   docker build --target=landing --tag=landing .
#
# cloudbuild.yaml builds and pushes both. Base images are pinned by digest and packages by hash, so that a build of this
# commit gives the same programs later. A newer base: take the digest that `docker buildx imagetools inspect NAME:TAG`
# prints on its line `Digest:`; newer packages: `make lock`.

FROM python:3.12.15-slim-bookworm@sha256:34386ef0cb081344d7ec1c103ba398e6e9f64e9ab3a1509accc92a4e24a07258 AS base
ENV PYTHONUNBUFFERED=1


# --- landing

# The program that Dataflow starts in a worker's container. It comes from the tag of the Beam version that landing.txt has,
# by the Go module proxy; Go compares it with its public checksum database.
FROM golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d AS boot
ENV CGO_ENABLED=0 GOBIN=/boot GOFLAGS=-trimpath GOTOOLCHAIN=auto
RUN go install github.com/apache/beam/sdks/v2/python/container@v2.77.0 && mv /boot/container /boot/boot

# The program that Dataflow starts to launch the template. It runs whatever `python` there is: the image's own Python
# version does not matter here.
FROM gcr.io/dataflow-templates-base/python313-template-launcher-base@sha256:3b739eee1143263b8f4740beb0b18a28e511533ebb8b1577bd3fdf2b05bd223d AS launcher

# google-apitools is published as source only; the pinned setuptools builds it and stays in this stage.
FROM base AS landing-packages
COPY docker/build.txt docker/landing.txt /tmp/
RUN pip install --no-cache-dir --require-hashes --only-binary=:all: --requirement=/tmp/build.txt \
    && pip install --no-cache-dir --require-hashes --only-binary=:all: --no-binary=google-apitools --no-build-isolation \
        --prefix=/packages --requirement=/tmp/landing.txt
# The project's own package: the workers unpickle what refers to it.
COPY pyproject.toml README.md /source/
COPY brigade /source/brigade
# The names of --pipeline are looked up beside the package.
COPY pipelines /source/pipelines
RUN pip install --no-cache-dir --no-index --no-deps --no-build-isolation --prefix=/packages /source
RUN cp -R /source/pipelines /packages/lib/python3.*/site-packages/

# One image launches the template and runs on the workers, so that both have the same packages:
# https://docs.cloud.google.com/dataflow/docs/guides/templates/configuring-flex-templates
#
#   gcloud dataflow flex-template run brigade-landing --project=P --region=us-central1 \
#       --template-file-gcs-location=gs://P-ml-code/templates/landing.json --temp-location=gs://P-ml-temp/dataflow \
#       --staging-location=gs://P-ml-temp/dataflow/staging --enable-streaming-engine --disable-public-ips \
#       --service-account-email=brigade-landing@P.iam.gserviceaccount.com \
#       --subnetwork=regions/us-central1/subnetworks/brigade \
#       --parameters=input_subscription=projects/P/subscriptions/sub-brigade,output_path=gs://P-ml-input/input \
#       --parameters=sdk_container_image=IMAGE
#
# It runs as root: Dataflow mounts folders of root's into a worker's container and expects it to write there, and the
# launcher writes its log below /var/log. Both run on machines of this job alone, as brigade-landing.
FROM base AS landing
COPY --from=boot /boot/boot /opt/apache/beam/boot
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher
COPY --from=landing-packages /packages /usr/local
WORKDIR /template
COPY pubsub_gcs.py ./
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/pubsub_gcs.py
# Errors show here and not when a job is launched.
RUN pip check && python pubsub_gcs.py --help > /dev/null && test -x /opt/google/dataflow/python_template_launcher
# Dataflow watches its workers itself.
HEALTHCHECK NONE
ENTRYPOINT ["/opt/apache/beam/boot"]


# --- serve

FROM base AS serve-packages
COPY docker/serve.txt /tmp/
RUN pip install --no-cache-dir --require-hashes --only-binary=:all: --prefix=/packages --requirement=/tmp/serve.txt

# The function's folder, by the program that builds it everywhere; it needs nothing but Python.
FROM base AS serve-source
WORKDIR /source
COPY brigade ./brigade
COPY cloud_function ./cloud_function
COPY scheduler ./scheduler
COPY local/package.py ./local/
RUN python -m local.package

FROM base AS serve
RUN useradd --system --uid=10001 --user-group --no-create-home --shell=/usr/sbin/nologin brigade
COPY --from=serve-packages /packages /usr/local
COPY --from=serve-source /source/build/cloud_function /function
WORKDIR /function
# Compiled here, because the function's user cannot write there: this makes a cold start faster.
RUN pip check && python -m compileall -q . && MODELS_URI=/models python -c "import main"
USER 10001:10001
# Which function this container is: predict, or classify. The server keeps a socket of its own in HOME.
ENV FUNCTION_TARGET=predict PORT=8080 HOME=/tmp
EXPOSE 8080
# For docker run; Cloud Run has probes of its own. Unhealthy also means that no model serves yet.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]
# Cloud Run sets PORT, and Vertex AI, whose custom container this is too, AIP_HTTP_PORT.
ENTRYPOINT ["sh", "-c", "exec functions-framework --port=\"${AIP_HTTP_PORT:-$PORT}\" \"$@\"", "serve"]
