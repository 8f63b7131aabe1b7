# Needs Python >= 3.11 and make; everything else goes into $(VENV).
PYTHON ?= python3
VENV ?= .venv
DEMO ?= fedpet-demo
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo demo-full demo-networked test test-faults bench-transport fuzz check format lint types contracts sbom bench-help bench-imaging bench-pacs bench-quality bench-training bench-statistics bench-secure-sum

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.node ## Ten phantom hospitals, from DICOM folders to a report (minutes, offline)
	$(BIN)/fedpet demo $(DEMO)

demo-networked: $(VENV)/.dev ## The same with a coordinator and a node process for each hospital
	$(BIN)/fedpet demo $(DEMO)-networked --networked

demo-full: $(VENV)/.node ## The same with 1,110 subjects
	$(BIN)/fedpet demo fedpet-demo-full --subjects 1110

test: $(VENV)/.dev ## Run all tests
	$(BIN)/pytest -n auto

fuzz: $(VENV)/.dev ## Thousands of spoiled DICOM folders (FUZZ=5000; about 0.15 s each)
	FEDPET_FUZZ=$(or $(FUZZ),5000) $(BIN)/pytest -q tests/imaging/test_dicom_door_fuzz.py

test-faults: $(VENV)/.dev ## Kill nodes, coordinator, broker and runs; spoil lines and letters (FAULTS=5 seeds)
	FEDPET_FAULTS=$(or $(FAULTS),5) $(BIN)/pytest -q tests/faults tests/engines

check: format lint types contracts test ## Everything that a change must pass

format: $(VENV)/.dev ## Is the code formatted?
	$(BIN)/ruff format --check .

lint: $(VENV)/.dev ## Does the code follow the rules?
	$(BIN)/ruff check .

types: $(VENV)/.dev ## Do the types fit?
	$(BIN)/mypy

contracts: $(VENV)/.dev ## Do imports follow the architecture?
	$(BIN)/lint-imports

sbom: $(VENV)/.dev ## Bill of materials (CycloneDX) of what runs in a hospital; fails on a GPL licence
	$(BIN)/python tools/sbom.py --extra node -o sbom.cdx.json

bench-help: $(VENV)/.node ## How long does the first screen take?
	$(BIN)/python bench/help_time.py

bench-imaging: $(VENV)/.node $(VENV)-peers/.done ## How long does a scan take? Beside SimpleITK, dcm2niix and MONAI
	$(BIN)/python bench/imaging.py --peers $(VENV)-peers/bin/python

bench-transport: $(VENV)/.dev ## How long does a round between machines take? Beside bare TLS sockets
	$(BIN)/python bench/transport.py

bench-secure-sum: $(VENV)/.node $(VENV)-sums/.done ## What does the secure sum cost? Beside the same round in clear, and Flower's masks
	$(BIN)/python bench/secure_sum.py --peers $(VENV)-sums/bin/python

bench-pacs: $(VENV)/.dev ## How fast do images come from a PACS? Beside stock pynetdicom
	$(BIN)/python bench/pacs.py

bench-training: $(VENV)/.dev ## How fast is training? Beside a bare PyTorch loop, DICOM, and no federation
	$(BIN)/python bench/training.py

bench-statistics: $(VENV)/.dev ## How long does a statistic take, and what leaves? Beside lifelines
	$(BIN)/python bench/statistics.py

$(VENV)-sums/.done:
	$(PYTHON) -m venv $(VENV)-sums
	-$(VENV)-sums/bin/pip install --quiet --disable-pip-version-check flwr
	@touch $@

bench-quality: $(VENV)/.dev ## Is federation as good as pooling? Phantoms with a known ceiling, and Fed-TCGA-BRCA
	$(BIN)/python bench/quality.py

# The peers' own environment. MONAI needs torch, and finds the one of $(VENV).
$(VENV)-peers/.done: $(VENV)/.node
	$(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python bench/borrow.py $(VENV)
	-$(VENV)-peers/bin/pip install --quiet --disable-pip-version-check SimpleITK dcm2niix nibabel pydicom
	-$(VENV)-peers/bin/pip install --quiet --disable-pip-version-check --no-deps monai
	@touch $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.node: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[node]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.node
