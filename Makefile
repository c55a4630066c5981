# Everything runs in .venv, which the first target that needs it creates.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo explore test lint evidence clean

# The published claims measured again; each writes its record, pages.py makes docs/results of them.
EVIDENCE := label_recovery unsupervised_probe interventions informative_latents small_codes \
	twins timing miles harps_velocity apogee_labels calibration

demo: .venv/installed
	$(BIN)/python -m specvae.demo

# What the demo has trained; where it has not run yet, it runs first.
explore: demo_output/stars.specvae
	$(BIN)/specvae explore demo_output/stars.specvae demo_output/stars.npy --labels demo_output/labels.csv

demo_output/stars.specvae: | .venv/installed
	$(BIN)/python -m specvae.demo

test: .venv/installed lint
	$(BIN)/python -m pytest

# About two hours of one core; `make evidence-miles` runs one. OPTIONS=--full takes a GPU.
evidence: $(EVIDENCE:%=evidence-%)
	$(BIN)/python benchmarks/evidence/pages.py

evidence-%: .venv/installed
	$(BIN)/python benchmarks/evidence/$*.py $(OPTIONS)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv build demo_output *.egg-info
