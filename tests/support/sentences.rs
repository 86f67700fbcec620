//! Tests of a program that has its own `main`, because they need something of the system.

use std::process::ExitCode;

/// A sentence, and what shows it.
pub type Test = (&'static str, fn());

/// Runs them one after the other and says how each went; `what` they are about.
pub fn run(what: &str, tests: &[Test]) -> ExitCode {
    let mut failed = 0;
    for (name, test) in tests {
        let passed = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    println!("{what}: {} passed, {failed} failed", tests.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
