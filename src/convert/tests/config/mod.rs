//! How many random graphs a property is tried on.

use proptest::test_runner::Config;

/// 1024 graphs; `PROPTEST_CASES` asks for another quarter of the number.
pub(crate) fn config() -> Config {
    let default = Config::default();
    Config {
        cases: default.cases.saturating_mul(4),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..default
    }
}
