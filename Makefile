.DEFAULT_GOAL := help
.PHONY: help setup fetch demo test cross cross-container test-aarch64 lint bench models boards accuracy
.PHONY: supported-ops deny clean

ENTRIES ?= centernet efficientnet-lite0 openpose vtest onnxruntime
JETPACK ?= 4
CARGO_DENY_VERSION := 0.20.2

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install the system packages that are missing (Debian, Ubuntu)
	@scripts/setup.sh

fetch: setup ## get the models, the clip and ONNX Runtime into the cache
	cargo run --locked --release --bin tfjet -- fetch $(ENTRIES)

demo: setup ## convert a detector and run it over a clip; FRAMES=N for a short one
	scripts/demo.sh

test: setup ## every test; those that take a GPU: tests/gpu/README.md
	scripts/test.sh

cross: ## tfjet-run for every board, target/cross/, without containers
	scripts/cross.sh

cross-container: ## tfjet-run for one JetPack, in a container; JETPACK=4, 5, 6 or 7
	scripts/cross-container.sh $(JETPACK)

test-aarch64: ## what runs on the boards, on an emulated one
	scripts/test-aarch64.sh

lint: setup ## formatting, clippy, documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	cargo clippy -p tfjet --no-default-features --features run --lib --bins --locked -- -D warnings
	cargo clippy -p tfjet --no-default-features --features convert --lib --bins --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --all-features --no-deps --locked

bench: setup ## compare with TensorFlow and ONNX Runtime; writes docs/benchmarks.md
	scripts/bench.sh

models: setup ## compare every model with TensorFlow; writes docs/models.md
	scripts/models.sh

accuracy: setup ## measure what FP16 and INT8 cost; writes docs/accuracy-report.md
	scripts/accuracy.sh

boards: setup ## compare estimates with published timings of boards; writes docs/boards.md
	scripts/boards.sh

supported-ops: ## which op runs where; writes docs/supported-ops.md
	TFJET_REGENERATE_GOLDEN=1 cargo test -p tfjet-convert --locked --test supported_ops

deny: ## licences and sources of the dependencies
	@cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny@$(CARGO_DENY_VERSION)
	cargo deny --all-features check bans licenses sources

clean: ## remove what the build, the demo and the benchmarks wrote
	cargo clean
	rm -rf demo-out bench-out
