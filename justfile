# Recipes for daily work. `just` without a name lists them.

default:
    @just --list

# Everything, as continuous integration runs it
test *steps:
    bash tests/run {{steps}}

# Everything and the long campaigns
test-long:
    bash tests/run --long

# The demo: a leaking service and the dashboard on it
demo:
    cargo run --release -p riptide -- demo

# Model checks of the shared memory protocols
loom:
    bash tests/run loom

# Format and lint, as a commit must pass
tidy:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test -q -p riptide-tests --test tidy

# After a deliberate change of the region format: see CONTRIBUTING.md
bless-layout:
    RIPTIDE_BLESS=1 cargo test -q -p riptide-region --test layout

# Searches with the fuzz targets, in shards, on from where it was: docs/FAULTS.md
fuzz *arguments:
    bash tests/fuzz/run {{arguments}}

# Mutation testing of the region format, the estimator and the accounting of loss
mutants *shard:
    bash tests/mutants {{shard}}

# Licences, advisories, sources and duplicates of all dependencies
deny:
    cargo deny --all-features check
