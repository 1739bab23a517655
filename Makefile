# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
IN_ENVIRONMENT = . .ros/activate.sh &&

.PHONY: help setup demo test lint docs soak faults fuzz bench bench-node bench-accuracy train-toy clean

help:
	@echo "make demo   set up what is missing, then track shapes on a real ROS 2 graph; results in out/demo"
	@echo "make test   set up what is missing, then run every check"
	@echo "make lint   ruff and mypy alone"
	@echo "make soak   does memory grow? 5,000 frames of the tracker, then the node for half an hour (MINUTES=5 for less)"
	@echo "make faults every fault on a running node: frames lost, recovery, ids and prompts kept; results in out/bench"
	@echo "make fuzz   20,000 requests and images that nobody would send; results in out/bench"
	@echo "make bench  speed of the tracker against transformers' session, and what each option costs"
	@echo "make bench-node      what the node adds to the networks' time, and what it does with too many images"
	@echo "make bench-accuracy  suites x policies on held-out seeds; results in out/bench"
	@echo "make train-toy       train the built-in checkpoints from scratch (hours on two cores); results in out/train"
	@echo "make docs   write docs/interfaces.md anew from the code"
	@echo "make clean  remove what set-up and runs have made"

setup:
	@$(PYTHON) tools/setup_environment.py

demo: setup
	@$(IN_ENVIRONMENT) lang2segtrack demo --out out/demo

test:
	@$(PYTHON) tools/setup_environment.py --test
	@$(IN_ENVIRONMENT) ruff check . && ruff format --check . && mypy && lint-imports && OMP_NUM_THREADS=1 python -m pytest test -n auto --maxprocesses 4 --dist loadfile

lint:
	@$(PYTHON) tools/setup_environment.py --test
	@$(IN_ENVIRONMENT) ruff check . && ruff format --check . && mypy && lint-imports

soak: setup
	@$(IN_ENVIRONMENT) python bench/soak.py && python bench/soak_node.py --minutes $(or $(MINUTES),30)

faults: setup
	@$(IN_ENVIRONMENT) python -m bench.faults

fuzz:
	@$(PYTHON) tools/setup_environment.py --test
	@$(IN_ENVIRONMENT) python -m test.ros.services.fuzzing --requests 20000

bench: setup
	@$(IN_ENVIRONMENT) python bench/tracking.py && python bench/options.py && python bench/detector.py

bench-node: setup
	@$(IN_ENVIRONMENT) python bench/node.py

bench-accuracy:
	@$(PYTHON) tools/setup_environment.py --test
	@$(IN_ENVIRONMENT) lang2segtrack bench suites --out out/bench

train-toy:
	@$(PYTHON) tools/setup_environment.py --test
	@$(IN_ENVIRONMENT) python -m training all --out out/train

docs: setup
	@$(IN_ENVIRONMENT) python tools/write_interface_docs.py

clean:
	rm -rf .venv .ros out build install log
