# Two commands do everything: `make demo` and `make test`. `make help` lists the rest.
#
# One profile (release) and one target directory for all clones on this machine, so that RocksDB's C++ is compiled
# once. CARGO_TARGET_DIR is respected.

CACHE_HOME := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
export CARGO_TARGET_DIR ?= $(CACHE_HOME)/kstreams/target
LEAN_TARGET_DIR := $(CARGO_TARGET_DIR)/lean
EXAMPLES := cargo run --release -p streams-examples
LEAN := CARGO_TARGET_DIR='$(LEAN_TARGET_DIR)' $(EXAMPLES) --no-default-features

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-orders demo-views demo-lean dlq test lint bench oracle golden workload compare bench-state bench-engine held-end-txn sim planted fuzz faults

help: ## list of commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing on this machine (Debian, Ubuntu)
	@scripts/setup test

demo: ## word count on the embedded log, RocksDB stores, exactly once; ARGS="--input FILE"
	@scripts/setup demo
	@$(EXAMPLES) --bin word_count -- $(ARGS)

demo-orders: ## orders joined with customers, per-tier totals, dead letters
	@scripts/setup demo
	@$(EXAMPLES) --bin order_enrichment -- $(ARGS)

demo-views: ## page views by minute: event time, late views, a global table, one result for each minute
	@scripts/setup demo
	@$(EXAMPLES) --bin page_views -- $(ARGS)

demo-lean: ## the word count without C++: in-memory engine, builds in about a minute
	@scripts/setup lean
	@$(LEAN) --bin word_count -- $(ARGS)

dlq: ## dead letters: make -s dlq ARGS="list --topic dead-letters --bootstrap-server localhost:9092"; show, replay
	@scripts/setup demo
	@cargo run --quiet --release -p streams-cli -- dlq $(ARGS)

test: ## format, lints, all tests with a real broker, the examples; ends with a summary
	@scripts/setup test
	@scripts/test

lint: ## format and clippy only
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings

bench: ## criterion: record path, stores, serdes, each access to state
	@scripts/setup demo
	cargo bench -p kstreams --bench record_path --bench stores --bench serdes -- $(ARGS)
	cargo bench -p streams-state --bench state -- $(ARGS)

bench-engine: ## figures behind the settings of RocksDB: ingested files or write batches, block sizes, filters, in little memory
	@scripts/setup demo
	cargo bench -p streams-state --bench engine -- $(ARGS)

oracle: ## compare with recorded Kafka Streams cases: make -s oracle CASES=DIR ARGS="--filter ID"
	@cargo test --quiet --release --test oracle -- $(ARGS) '$(abspath $(or $(CASES),tests/data/oracle))'

golden: ## compare bytes, names and tables with Kafka Streams: make -s golden VECTORS=DIR ARGS="--only keys"
	@cargo test --quiet --release --test golden -- $(ARGS) $(if $(VECTORS),'$(abspath $(VECTORS))')

held-end-txn: ## hold commits back on the wire until the next transaction has begun; make -s held-end-txn FRAMES=1000
	@scripts/setup test
	@HELD_END_TXN=$(or $(FRAMES),1000) cargo test --quiet --release --test held_end_txn

sim: ## simulated clusters under seeded faults, in virtual time; make -s sim RUNS=1000000 SEED=1
	@cargo test --quiet --release -p kstreams-sim-tests --test sim -- --runs $(or $(RUNS),10000) --seed $(or $(SEED),1) $(ARGS)

planted: ## plant defects into a copy of the sources, one at a time: the simulation must find each; ARGS="NAME ..."
	@cargo test --quiet --release -p kstreams-sim-tests --test planted -- $(ARGS)

fuzz: ## damaged bytes into every decoder of foreign bytes, N inputs each; make -s fuzz RUNS=N SEED=S
	@scripts/setup demo
	@cargo test --quiet --release --test fuzz -- --runs $(or $(RUNS),1000000) --seed $(or $(SEED),1) $(ARGS)

faults: ## hurt real processes on three real brokers, every row of the fault table; ARGS="--only killed,frozen --minutes 5 --seed 2"
	@scripts/setup test
	@cargo test --quiet --release -p streams-examples --test faults -- --long $(ARGS)

workload: ## build the workload program in release mode; the last line is its path
	@cargo build --release -p streams-examples --bin workload
	@echo '$(CARGO_TARGET_DIR)/release/workload'

bench-state: ## memory of 10 M keys, restore and kill -9 beside Kafka Streams; fails if a limit is broken; about 10 minutes
	@scripts/setup test
	@scripts/bench-state $(ARGS)

compare: ## three workloads side by side with Kafka Streams on the same broker; prints the table
	@scripts/setup test
	@scripts/compare $(ARGS)
