# The table of contents: `make help`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin/python

# Settings of `make demo`: make demo DATA=mails.csv TEXT=title+body LABEL=label ENCODING=latin-1 DELIMITER=';' RATE=50 SAMPLE=1000
# and for tables: make demo PIPELINE=wine DATA=winequality-red.csv. DOCS is the former name of DATA. DRIFT=language changes
# the unseen documents before they are looked at; python -m local.demo --help names the others.
DATA ?= $(DOCS)
DOCS ?=
PIPELINE ?=
TEXT ?=
LABEL ?=
ENCODING ?=
DELIMITER ?=
DRIFT ?=
RATE ?= 50
SAMPLE ?= 1000
GENERATE ?= 4000
SEED ?= 1
export DATA PIPELINE TEXT LABEL ENCODING DELIMITER DRIFT
# The public data sets of `make bench-train` and `make bench-serve` (DATA), see python -m benchmarks.training --help
SETS = $(or $(DATA),data)
# `make up EMPTY=1`: without topics, buckets and functions, for the tutorial's commands, which create them
EMPTY ?=
# `make up KEEP=1`: goes on with the buckets that an earlier `make up` left
KEEP ?=
# `make predict`: these days again (A..B or one date), only what has no prediction yet
DATES ?=
MISSING ?=
# `make experiments`: a folder of models, gs:// or local, in place of those of this machine
FOLDER ?=
# Where `make bench-serve` keeps the models that it trains
MODELS ?= .local/bench-models

# `make test-bare`: Debian's releases, the targets that run there, where a user who is not root runs them as well, and the
# mirror if it is not debootstrap's
SUITES ?= bookworm trixie
TARGETS ?= demo test
AS_USER ?= $(lastword $(SUITES))
MIRROR ?=

# `make gcp-…`: the Google Cloud project and region; YES=1 answers Terraform's question, BUCKETS=A,B are removed with their
# data, UPDATE=1 updates the running job, which grows to MAX_WORKERS machines; PIPELINE=wine is the
# pipeline that gcp-up makes, and PREFIX=wine stands before all names of a second one in the project
PROJECT ?=
PREFIX ?=
OF = $(if $(PREFIX),--prefix='$(PREFIX)')
REGION ?= us-central1
YES ?=
BUCKETS ?=
UPDATE ?=
MAX_WORKERS ?= 2
# `make gcp-vertex`: upload, deploy, undeploy or list; the container image, the challenger and its share of requests
DO ?= list
IMAGE ?=
CHALLENGER ?=
PERCENT ?= 0

# `make test`: what runs, how, and in which order
QUICK := not (airflow or cluster or faults or gcloud or long or mlflow or terraform or waits)
ORDER ?= fixed
# Two workers leave two cores idle for 40 % of the time: tests start programs and wait for them.
WORKERS ?= 3
PYTEST_FLAGS = -n $(WORKERS) --dist loadgroup --no-loadscope-reorder $(if $(filter random,$(ORDER)),-p randomly)
PYTEST = $(PY) -m pytest $(PYTEST_FLAGS)

# Settings of the caller's shell must reach neither Spark nor Python.
unexport PYTHONPATH SPARK_HOME SPARK_CONF_DIR PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON HADOOP_CONF_DIR
# Without compiled modules every process compiles anew what it imports: 4 s for scikit-learn, in each worker of Spark.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup need-gcloud need-tools demo test test-all test-apart test-spark35 test-airflow test-mlflow test-bare lint lint-terraform format \
	package up down predict experiments tutorial reconcile bench bench-pubsub bench-landing bench-convert bench-train bench-predict bench-monitor bench-watch bench-loop bench-serve preflight \
	gcp-plan gcp-up gcp-landing gcp-demo gcp-vertex gcp-down lock clean

help: ## prints this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/installed ## checks what the machine must have, and creates .venv with the pinned requirements

.venv/installed: requirements.txt pyproject.toml local/setup.sh local/machine.sh
	@bash local/setup.sh

# Tools that single targets need are checked first.
need-gcloud:
	@bash local/setup.sh need gcloud
need-tools:
	@bash local/setup.sh need gcloud terraform

demo: setup ## runs the whole pipeline on this machine; DATA=FILE TEXT=title+body LABEL=label for your own documents; PIPELINE=wine for tables; DRIFT=language
	@exec $(PY) -m local.demo --generate=$(GENERATE) --seed=$(SEED) --rate='$(RATE)' --sample='$(SAMPLE)' \
		$(if $(value PIPELINE),--pipeline="$$PIPELINE") $(if $(DATA),--data="$$DATA") \
		$(if $(value TEXT),--text="$$TEXT") $(if $(value LABEL),--label="$$LABEL") \
		$(if $(value ENCODING),--encoding="$$ENCODING") $(if $(value DELIMITER),--delimiter="$$DELIMITER") \
		$(if $(value DRIFT),--drift="$$DRIFT")

test: setup ## runs the tests that a change needs, in minutes; ORDER=random shuffles them
	@exec $(PYTEST) -m '$(QUICK)'

test-all: setup ## runs all tests: also kills, clusters, gcloud, Terraform, the official Pub/Sub emulator, Spark 3.5
	@exec $(PYTEST) -m '$(QUICK)'
	@$(MAKE) --no-print-directory test-apart test-spark35

test-apart: setup ## … what test-all has beyond test
	@$(PYTEST) -m 'not ($(QUICK)) and not (airflow or mlflow)' --durations=10
	@PUBSUB=official $(PYTEST) $(filter-out %_broker.py,$(wildcard tests/local/test_pubsub_*.py))

test-spark35: setup ## runs the Spark code's tests on Spark 3.5.3, that of Dataproc image 2.3
	@bash local/setup.sh spark35
	@exec .venv-spark35/bin/python -m pytest $(PYTEST_FLAGS) tests/conversion tests/monitoring tests/prediction tests/profiles tests/training -m 'not (cluster or faults)'

test-airflow: setup ## runs the Airflow DAG against the stand-ins, with Airflow in an environment of its own
	@bash local/setup.sh airflow
	@exec $(PY) -m pytest tests/deploy/test_airflow.py

test-mlflow: setup ## runs trainings, promotions and `mlflow models serve` against a real MLflow server, in an environment of its own
	@bash local/setup.sh tracking
	@exec $(PY) -m pytest tests/tracking -m mlflow

test-bare: ## runs make demo and make test on bare Debian machines, as root with debootstrap; SUITES="bookworm trixie"
	@SUITES='$(SUITES)' TARGETS='$(TARGETS)' AS_USER='$(AS_USER)' MIRROR='$(MIRROR)' bash tests/bare_machine.sh

lint: setup ## checks style, formatting, who imports whom, and types
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .
	@.venv/bin/lint-imports
	@.venv/bin/mypy

lint-terraform: setup ## checks Terraform's formatting, and by checkov Terraform, Dockerfile, workflows and forgotten secrets
	@bash local/setup.sh checkov
	@if command -v terraform >/dev/null; then terraform fmt -check -diff -recursive terraform; \
		else echo "terraform is not on PATH: its formatting is not checked" >&2; fi
	@.venv-checkov/bin/checkov --config-file=terraform/checkov.yaml --directory=.

format: setup ## formats the code
	@.venv/bin/ruff check --fix . && .venv/bin/ruff format .

package: setup ## builds build/: brigade.zip for Spark, and the folders of the functions to deploy; PIPELINE=wine: for tables
	@$(PY) -m local.package $(if $(value PIPELINE),--pipeline="$$PIPELINE")

up: setup ## starts the local cloud and leaves it running: eval "$(make -s up)" sets the variables that find it; EMPTY=1 creates nothing, KEEP=1 goes on with the former buckets
	@$(PY) -m local.services up $(if $(EMPTY),--empty) $(if $(KEEP),--keep)

down: ## ends what `make up` started
	@$(PY) -m local.services down

predict: setup ## predicts what has landed in the local cloud's buckets, by the model that serves; PIPELINE=wine, DATES=A..B, MISSING=1
	@exec $(PY) -m local.predict $(if $(value PIPELINE),--pipeline="$$PIPELINE") $(if $(DATES),--dates='$(DATES)') \
		$(if $(MISSING),--missing)

experiments: setup ## starts an MLflow server with the runs of this machine and prints its address; FOLDER=URI for those of another folder
	@bash local/setup.sh tracking
	@exec $(PY) -m local.experiments $(if $(FOLDER),--models='$(FOLDER)')

tutorial: need-gcloud setup ## runs the commands of docs/by_hand.md and docs/vertex.md here and writes what they answer into docs/
	@$(PY) -m local.tutorial by_hand
	@$(PY) -m local.tutorial vertex

reconcile: setup ## compares what a folder holds with what was published: INPUT=URI PUBLISHED=N, dead letters in DEAD_LETTERS=URI; WAIT=SECONDS
	@$(PY) -m local.reconcile --output_path='$(INPUT)' $(if $(DEAD_LETTERS),--dead_letter_path='$(DEAD_LETTERS)') \
		$(if $(PUBLISHED),--published='$(PUBLISHED)') $(if $(WAIT),--wait='$(WAIT)')

bench: bench-pubsub bench-landing bench-convert bench-train bench-predict bench-monitor bench-watch bench-loop bench-serve ## measures all that is claimed about speed

bench-pubsub: setup ## the Pub/Sub server next to the official emulator, which comes with the Google Cloud CLI
	@$(PY) -m benchmarks.pubsub

bench-landing: setup ## landing: speed next to a plain loop, peak memory, bursts of 10,000 and 100,000 messages
	@$(PY) -m benchmarks.landing throughput
	@$(PY) -m benchmarks.landing memory
	@$(PY) -m benchmarks.landing burst --messages=10000 --compare
	@$(PY) -m benchmarks.landing burst --messages=100000

bench-convert: setup ## conversion: next to plain Spark and polars, 20,000 small files, four times the data, a second run
	@$(PY) -m benchmarks.conversion speed
	@$(PY) -m benchmarks.conversion files
	@$(PY) -m benchmarks.conversion growth
	@$(PY) -m benchmarks.conversion incremental

bench-train: setup ## training: published splits, few documents, next to scikit-learn and spark.ml, growth; DATA=FOLDER
	@$(PY) -m benchmarks.training accuracy --data='$(SETS)'
	@$(PY) -m benchmarks.training small --data='$(SETS)'
	@$(PY) -m benchmarks.training time --data='$(SETS)'
	@$(PY) -m benchmarks.training partitions --data='$(SETS)'
	@$(PY) -m benchmarks.training growth --data='$(SETS)'

bench-predict: setup ## predictions in bulk: next to the model alone, and ten times the documents
	@$(PY) -m benchmarks.prediction

bench-monitor: setup ## monitoring: a profile next to a plain count of words by Spark
	@$(PY) -m benchmarks.monitoring

bench-watch: setup ## monitoring by simulation: faults that are found, false alarms, decay; DATA=FOLDER
	@$(PY) -m benchmarks.monitoring_power --data='$(SETS)'

bench-loop: setup ## the schedule by simulation: ten centuries of calls, 6,000 histories of models that get worse
	@$(PY) -m benchmarks.loop centuries
	@$(PY) -m benchmarks.loop histories

bench-serve: setup ## serving: next to a plain scikit-learn function, and under swaps, broken messages, a kill; DATA=FOLDER
	@$(PY) -m benchmarks.serving cold --data='$(SETS)' --models='$(MODELS)'
	@$(PY) -m benchmarks.serving load --data='$(SETS)' --models='$(MODELS)'
	@$(PY) -m benchmarks.serving memory --data='$(SETS)' --models='$(MODELS)'
	@$(PY) -m benchmarks.serving swaps
	@$(PY) -m benchmarks.serving mutated
	@$(PY) -m benchmarks.serving pubsub
	@$(PY) -m benchmarks.serving document --data='$(SETS)' --models='$(MODELS)'

preflight: setup ## finds what would stop the pipeline on Google Cloud: PROJECT=P, and REGION=R if not us-central1
	@exec $(PY) -m gcp.preflight --project='$(PROJECT)' --region='$(REGION)' $(OF)

gcp-plan gcp-up: PLAN = $(if $(value PIPELINE),--pipeline="$$PIPELINE")

gcp-plan: need-tools setup ## shows what gcp-up would create or change in PROJECT=P
	@exec $(PY) -m gcp.resources plan --project='$(PROJECT)' --region='$(REGION)' $(OF) $(PLAN)

gcp-up: need-tools setup ## creates everything in PROJECT=P, after Terraform's question; YES=1 answers it
	@exec $(PY) -m gcp.resources up --project='$(PROJECT)' --region='$(REGION)' $(OF) $(PLAN) $(if $(YES),--yes)

gcp-landing: need-tools setup ## starts landing in PROJECT=P as a Dataflow job; UPDATE=1 replaces the running one's code; MAX_WORKERS=N
	@exec $(PY) -m gcp.landing --project='$(PROJECT)' --region='$(REGION)' $(OF) --max_workers='$(MAX_WORKERS)' \
		$(if $(UPDATE),--update)

gcp-demo: need-tools setup ## publishes documents in PROJECT=P and watches them come back classified; trains first if no model serves
	@exec $(PY) -m gcp.demo --project='$(PROJECT)' --region='$(REGION)' $(OF)

gcp-vertex: setup ## the model on Vertex AI in PROJECT=P: DO=upload IMAGE=I, DO=list, DO=deploy PERCENT=10 (costs money until DO=undeploy), CHALLENGER=NAME
	@exec $(PY) -m gcp.vertex $(DO) --project='$(PROJECT)' --region='$(REGION)' $(OF) --image='$(IMAGE)' \
		--challenger='$(CHALLENGER)' --challenger_percent='$(PERCENT)' $(if $(YES),--yes)

gcp-down: need-tools setup ## ends landing and removes everything from PROJECT=P but the data; BUCKETS=P-ml-input,… removes these too
	@exec $(PY) -m gcp.resources down --project='$(PROJECT)' --region='$(REGION)' $(OF) --buckets='$(BUCKETS)' $(if $(YES),--yes)

lock: LOCK := --python-version 3.11 --universal --no-emit-index-url -q
lock: ## pins what pyproject.toml names in requirements.txt, the DAG's, MLflow's and checkov's, and with hashes those of the images
	@.venv/bin/uv pip compile pyproject.toml --all-extras -o requirements.txt $(LOCK)
	@.venv/bin/uv pip compile airflow/requirements.in -o airflow/requirements.txt $(LOCK)
	@.venv/bin/uv pip compile tracking/requirements.in -o tracking/requirements.txt $(LOCK)
	@.venv/bin/uv pip compile terraform/requirements.in -o terraform/requirements.txt $(LOCK)
	@.venv/bin/uv pip compile cloud_function/requirements.txt cloud_function/requirements-table.txt -o docker/serve.txt -c requirements.txt --generate-hashes $(LOCK)
	@.venv/bin/uv pip compile pyproject.toml --extra landing -o docker/landing.txt -c requirements.txt --generate-hashes $(LOCK)
	@.venv/bin/uv pip compile docker/build.in -o docker/build.txt --generate-hashes $(LOCK)

clean: ## removes all that was made here: .venv, .local, caches
	@[ ! -x $(PY) ] || $(PY) -m local.services down
	@rm -rf .venv .venv-airflow .venv-checkov .venv-spark35 .venv-tracking .local .pytest_cache .ruff_cache .mypy_cache \
		.import_linter_cache .hypothesis build *.egg-info spark-warehouse artifacts
	@find . -name __pycache__ -prune -exec rm -rf {} +
