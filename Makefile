# The commands of the README. Each does all its own set-up on a machine with Rust, gcc and make.

.PHONY: try test lint unit shell cdk strangers build tools soak

# Rotates the key of a fleet of 12 hosts on the local AWS, then tells what hosts and keys meet in the weeks that follow.
try:
	cargo build --quiet --workspace --bins
	cargo run --quiet --bin sandbox -- rotate \
	  --fleet tests/sandbox/examples/life-of-a-fleet.json --settings tests/sandbox/examples/settings.json \
	  --report "$${CARGO_TARGET_DIR:-target}/report.html"

# Everything: style, lints, all tests of ours, and what tools of other people say.
test: lint unit shell cdk strangers

lint: tools
	cargo fmt --all -- --check
	shellcheck .ci/run $$(git ls-files '*.sh' '*.bash' '*.bats')
	cargo clippy --quiet --workspace --all-targets -- -D warnings

unit:
	cargo build --quiet --workspace --bins
	cargo test --quiet --workspace --no-fail-fast

# As many histories by chance as are asked for, and every pair of faults, on all cores: make soak HISTORIES=100000
# Our own crates are optimised for it, which pays after some thousand histories.
HISTORIES ?= 1000
soak:
	HISTORIES=$(HISTORIES) PAIRS_EVERY=1 CARGO_PROFILE_DEV_OPT_LEVEL=1 cargo test --workspace --test faults --test random_histories

# The host script's own functions, one by one.
shell: tools
	bats tests/shell

# The deployment: types, style, cdk-nag, and what its templates grant.
cdk: cdk/node_modules/.package-lock.json
	cd cdk && npm run --silent check && npm run --silent test

cdk/node_modules/.package-lock.json: cdk/package-lock.json
	cd cdk && npm ci --silent
	touch $@

# The AWS CLI, boto3, moto, ministack, cfn-lint, Microsoft's T-SQL parsers and Chromium, each in its last word on our work.
# The situations of hosts, which `unit` runs, leave the statements that they sent.
strangers: tools cdk/node_modules/.package-lock.json
	cargo build --quiet --workspace --bins
	cargo test --quiet --workspace --test situations
	"$$(tests/strangers/venv.sh)/bin/python" -B -m pytest -q -p no:cacheprovider tests/strangers

# The functions as they are deployed: target/release/<function> is the `bootstrap` of its Lambda.
build:
	cargo build --release --bins \
	  -p enumerate-instances -p plan-rotation -p rotate-iam-key -p send-command -p poll-command -p promote-stage -p retire-iam-key \
	  -p rotate-login-password -p retire-login-password \
	  -p rotate-database-user

tools:
	@tests/strangers/install.sh shellcheck bats
