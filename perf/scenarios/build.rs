//! Remembers the compiler: instruction counts of two compilers are not the same measurement.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let rustc = Command::new(variable("RUSTC")).arg("--version").output();
    let version = rustc.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    });
    println!("cargo::rustc-env=SCENARIOS_RUSTC={version}");
    let mut target = format!(
        "{}, opt-level {}",
        variable("TARGET"),
        variable("OPT_LEVEL")
    );
    // What moves instruction counts and comes from outside the repository.
    for setting in [
        "CARGO_PROFILE_RELEASE_LTO",
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS",
        "CARGO_ENCODED_RUSTFLAGS",
    ] {
        println!("cargo::rerun-if-env-changed={setting}");
        let value = variable(setting).replace('\u{1f}', " ");
        if !value.is_empty() {
            target += &format!(", {setting}={value}");
        }
    }
    println!("cargo::rustc-env=SCENARIOS_TARGET={target}");
}
