# The commands of the README. Each does all its own set-up on a machine with Rust, gcc and make.

.PHONY: try test lint unit build tools

# Rotates a fleet of 12 hosts on the local AWS, then lets its days pass.
try:
	cargo build --quiet --workspace --bins
	cargo run --quiet --bin sandbox -- rotate \
	  --fleet tests/sandbox/examples/fleet.json --settings tests/sandbox/examples/settings.json

# Everything: style, lints, shell, all tests.
test: lint unit

lint: tools
	cargo fmt --all -- --check
	shellcheck .ci/run $$(git ls-files '*.sh')
	cargo clippy --quiet --workspace --all-targets -- -D warnings

unit:
	cargo build --quiet --workspace --bins
	cargo test --quiet --workspace --no-fail-fast

# The functions as they are deployed: target/release/<function> is the `bootstrap` of its Lambda.
build:
	cargo build --release --bins \
	  -p enumerate-instances -p rotate-iam-key -p send-command -p poll-command -p promote-stage -p retire-iam-key

tools:
	@command -v shellcheck >/dev/null || { apt-get update && apt-get install -y shellcheck; }
