# A menu; `just --list` is the map. Logic is in xtask.

# What CI does, but for what it installs
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps
    cargo test --workspace

# Tests; a missing outside part (nftables, goldens …) skips its tests by name
test *ARGS:
    cargo test --workspace {{ARGS}}

# Dependencies' direction and licences, documents, sources
tidy:
    cargo xtask tidy

# Rewrite the goldens of the reports and the rules' pages, then read the diff
bless:
    SUNUP_BLESS=1 cargo test -p sunup-doctor
    git diff -- crates/doctor docs/rules

# The files of a new rule of the doctor
new-rule ID:
    cargo xtask new-rule {{ID}}

# Write docs/rules from the rules
docs:
    cargo xtask docs

# Fuzz everything that reads what others wrote, each target for so many seconds
fuzz SECONDS="60" *TARGETS:
    cargo xtask fuzz --seconds {{SECONDS}} {{TARGETS}}

# The whole gate, in a fresh clone
ci:
    .ci/run

# The container image, made without a daemon: `just image --out sunup.tar --load docker`
image *ARGS:
    cargo xtask image {{ARGS}}
