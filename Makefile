.DEFAULT_GOAL := help
.PHONY: help setup fetch demo test test-aarch64 lint bench deny clean

ENTRIES ?= centernet efficientnet-lite0 openpose vtest onnxruntime
CARGO_DENY_VERSION := 0.20.2

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install the system packages that are missing (Debian, Ubuntu)
	@scripts/setup.sh

fetch: setup ## get the models, the clip and ONNX Runtime into the cache
	cargo run --locked --release --bin tfjet -- fetch $(ENTRIES)

demo: setup ## convert a detector and run it over a clip; FRAMES=N for a short one
	scripts/demo.sh

test: setup ## every test; those that take a GPU: tests/gpu/README.md
	scripts/test.sh

test-aarch64: ## TensorRT's calling convention on aarch64, emulated
	scripts/test-aarch64.sh

lint: setup ## formatting, clippy, documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	cargo clippy -p tfjet --no-default-features --features run --lib --bins --locked -- -D warnings
	cargo clippy -p tfjet --no-default-features --features convert --lib --bins --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --all-features --no-deps --locked

bench: setup ## compare with TensorFlow and ONNX Runtime; writes docs/benchmarks.md
	scripts/bench.sh

deny: ## licences and sources of the dependencies
	@cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny@$(CARGO_DENY_VERSION)
	cargo deny --all-features check bans licenses sources

clean: ## remove what the build, the demo and the benchmarks wrote
	cargo clean
	rm -rf demo-out bench-out
