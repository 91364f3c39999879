//! What a release hands out, made from the binary under test, unpacked and used as printed.

use std::path::Path;
use std::process::Command;

use super::kit::Run;

fn run(folder: &Path, program: &str, arguments: &[&str]) -> Run {
    let out = Command::new(program).current_dir(folder).args(arguments).output();
    out.unwrap_or_else(|error| panic!("{program}: {error}")).into()
}

#[test]
fn the_archive_installs_and_its_first_command_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("dist");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let target = "x86_64-unknown-linux-gnu";
    let made = run(
        &root,
        &cargo,
        &[
            "run",
            "--quiet",
            "--locked",
            "--package=xtask",
            "--",
            "dist",
            "--target",
            target,
            "--binary",
            env!("CARGO_BIN_EXE_sunup"),
            "--out",
            out.to_str().expect("UTF-8"),
        ],
    );
    assert_eq!(made.code, 0, "{made:?}");
    let name = format!("sunup-{}-{target}", env!("CARGO_PKG_VERSION"));
    let summed = run(&out, "sha256sum", &["--check", "SHA256SUMS"]);
    assert_eq!(summed.code, 0, "{summed:?}");
    let unpacked = run(&out, "tar", &["-xzf", &format!("{name}.tar.gz")]);
    assert_eq!(unpacked.code, 0, "{unpacked:?}");
    let here = out.join(&name);
    let version = run(&here, "./sunup", &["--version"]);
    assert_eq!(version.out.trim(), format!("sunup {}", env!("CARGO_PKG_VERSION")));
    let rules = run(&here, "./sunup", &["rules", "app-before-proxy"]);
    assert_eq!(rules.code, 0, "{rules:?}");
    for file in [
        "LICENSE",
        "README.md",
        "completions/sunup.bash",
        "completions/_sunup",
        "man/man1/sunup-doctor.1",
    ] {
        assert!(here.join(file).is_file(), "{file}");
    }
    let manifest = std::fs::read_to_string(out.join("sunup.yaml")).expect("krew's manifest");
    assert!(manifest.contains(&format!("from: {name}/sunup")), "{manifest}");
    assert_eq!(sunup_yaml::read(&manifest, &sunup_yaml::Limits::default()).errors, []);
}
