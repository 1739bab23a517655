# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
ifndef ROS
ROS := $(or $(LANG2SEGTRACK_ROS),kilted)
endif
# Another distribution or Python gets an environment of its own: .venv-jazzy and .ros-jazzy, .venv-python3.12 and .ros-python3.12
VERSION = $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
ENVIRONMENT := $(if $(filter-out kilted system,$(ROS)),-$(ROS))$(if $(filter-out python3,$(PYTHON)),-python$(VERSION))
export LANG2SEGTRACK_ROS := $(ROS)
export LANG2SEGTRACK_ENVIRONMENT := $(ENVIRONMENT)
IN_ENVIRONMENT = . .ros$(ENVIRONMENT)/activate.sh &&
LINT = ruff check . && ruff format --check . && mypy && lint-imports
.PHONY: help setup demo demo-real test check coverage lint docs site soak faults fuzz bench bench-node bench-accuracy bench-backward bench-gpu train-toy clean

help:
	@echo "Try it"
	@echo "  make demo            track toy shapes on a real ROS 2 graph; results in out/demo"
	@echo "  make demo-real       track with real weights and check the result: VIDEO=street.mp4 TEXT='red car. bus.'; results in out/demo-real"
	@echo "  make test            run every check (half an hour on two cores)"
	@echo
	@echo "Develop"
	@echo "  make check           lint, and the tests of the engine (a minute or two); run it before each commit"
	@echo "  make lint            ruff, mypy and the direction of imports"
	@echo "  make coverage        run every test and measure the covered lines; results in out/coverage.json"
	@echo "  make docs            write docs/interfaces.md from the code"
	@echo "  make site            build the documentation as a web site, with every link checked; result in out/site"
	@echo "  make clean           remove the environment and all results"
	@echo
	@echo "Measure; results in out/bench"
	@echo "  make bench           speed of the tracker against transformers' session, and of the detector"
	@echo "  make bench-node      time that the node adds to the networks, and its behavior with too many images"
	@echo "  make bench-accuracy  accuracy on the toy suites: each memory policy, SAM 2 as published, and text prompts"
	@echo "  make bench-backward  accuracy of backward traces against forward tracking and SAM 2 in reverse"
	@echo "  make bench-gpu       speed on an NVIDIA GPU: with and without CUDA graphs, transformers' session, the reference, the detector"
	@echo "  make soak            growth of memory: 5,000 frames of the engine, then the node for MINUTES=30"
	@echo "  make faults          injected faults on a running node: lost frames, recovery, kept ids and prompts"
	@echo "  make fuzz            20,000 random requests and images, 3,000 random sources, and 20 kills of each command"
	@echo
	@echo "Train"
	@echo "  make train-toy       train the built-in checkpoints (hours on two cores): FAMILY=shapes or things; results in out/train-FAMILY"

setup:
	@$(PYTHON) tools/setup_environment.py

demo: setup
	@$(IN_ENVIRONMENT) lang2segtrack demo --out out/demo

demo-real: setup
	@$(IN_ENVIRONMENT) lang2segtrack demo --real --video '$(VIDEO)' --text '$(TEXT)' $(OPTIONS)

test:
	@$(PYTHON) tools/setup_environment.py --test
	@$(IN_ENVIRONMENT) $(LINT) && OMP_NUM_THREADS=1 python -m pytest test -n auto --maxprocesses 4 --dist loadfile

lint:
	@$(PYTHON) tools/setup_environment.py --test
	@$(IN_ENVIRONMENT) $(LINT)

check:
	@$(PYTHON) tools/setup_environment.py --test
	@$(IN_ENVIRONMENT) $(LINT) && L2ST_TESTS=quick OMP_NUM_THREADS=1 python -m pytest test -q -n auto --maxprocesses 4 --dist loadfile

coverage:
	@$(PYTHON) tools/setup_environment.py --test
	@$(IN_ENVIRONMENT) OMP_NUM_THREADS=1 python -m pytest test -n auto --maxprocesses 4 --dist loadfile --cov --cov-report=json

soak: setup
	@$(IN_ENVIRONMENT) python -m bench.soak && python -m bench.soak_node --minutes $(or $(MINUTES),30)

faults: setup
	@$(IN_ENVIRONMENT) python -m bench.faults

fuzz:
	@$(PYTHON) tools/setup_environment.py --test
	@$(IN_ENVIRONMENT) export OMP_NUM_THREADS=1 OPENCV_FFMPEG_LOGLEVEL=-8 && python -m test.ros.services.fuzzing --requests 20000 && \
	  python -m test.recordings.fuzzing --sources 3000 && python -m test.cli.killing --moments 20

bench: setup
	@$(IN_ENVIRONMENT) python -m bench.tracking && python -m bench.options && python -m bench.detector

bench-node: setup
	@$(IN_ENVIRONMENT) python -m bench.node

bench-accuracy:
	@$(PYTHON) tools/setup_environment.py --test
	@$(IN_ENVIRONMENT) lang2segtrack bench suites --reference sam2 --out out/bench

bench-backward:
	@$(PYTHON) tools/setup_environment.py --test
	@$(IN_ENVIRONMENT) python -m bench.backward

bench-gpu: setup
	@$(IN_ENVIRONMENT) python -m bench.gpu

train-toy:
	@$(PYTHON) tools/setup_environment.py --test
	@$(IN_ENVIRONMENT) python -m training all --family $(or $(FAMILY),shapes) --out out/train-$(or $(FAMILY),shapes)

docs: setup
	@$(IN_ENVIRONMENT) python tools/write_interface_docs.py
	@$(IN_ENVIRONMENT) python tools/write_model_docs.py
	@$(IN_ENVIRONMENT) python tools/write_instruction_docs.py
	@$(IN_ENVIRONMENT) python tools/write_export_docs.py
	@$(IN_ENVIRONMENT) python tools/write_report_docs.py

site:
	@$(PYTHON) tools/setup_environment.py --test
	@$(IN_ENVIRONMENT) NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict && echo "open out/site/index.html"

clean:
	rm -rf .venv .venv-* .ros .ros-* out build install log
