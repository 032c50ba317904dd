//! The rules of the repository's structure: which crate may know which, what the runtime may not
//! carry to a board, where unsafe code stands, and what no file may hold.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use support::{TextFile, cargo, text_files};

/// The crates of the workspace that each one may depend on. Dev-dependencies are free.
const EDGES: &[(&str, &[&str])] = &[
    ("tfjet-core", &[]),
    ("tfjet-bundle", &["tfjet-core"]),
    ("tfjet-ops", &["tfjet-core"]),
    ("tfjet-onnx", &["tfjet-core"]),
    ("tfjet-cpu", &["tfjet-core"]),
    ("tfjet-cuda", &[]),
    ("tfjet-tensorrt", &["tfjet-core", "tfjet-cuda"]),
    (
        "tfjet-convert",
        &["tfjet-core", "tfjet-bundle", "tfjet-ops", "tfjet-onnx"],
    ),
    (
        "tfjet-runtime",
        &[
            "tfjet-core",
            "tfjet-bundle",
            "tfjet-ops",
            "tfjet-cpu",
            "tfjet-cuda",
            "tfjet-tensorrt",
        ],
    ),
    ("tfjet-video", &["tfjet-core", "tfjet-runtime"]),
    ("tfjet-service", &[]),
];

/// Packages that only the converter needs: none may be anywhere below `tfjet-run`.
const HOST_ONLY: &[&str] = &[
    "tfjet-convert",
    "tfjet-onnx",
    "prost",
    "prost-reflect",
    "prost-types",
    "miette",
    "sha2",
    "tar",
    "proptest",
];

/// Packages that `fetch` unpacks archives with; below `tfjet-run` other packages may use them.
const HOST_ONLY_DIRECT: &[&str] = &["flate2", "zip"];

/// The files and folders with unsafe code. A crate that holds one denies it everywhere else.
const UNSAFE: &[&str] = &[
    "src/bundle/src/mmap.rs",
    "src/cpu/src/raw.rs",
    // Calls of the driver and of NVRTC, and what they take for true.
    "src/cuda/src/kernels/",
    "src/cuda/src/pinned.rs",
    "src/cuda/src/scope.rs",
    "src/cuda/src/sys/",
    "src/cuda/tests/gpu.rs",
    "src/cuda/tests/stub/",
    // Calls of TensorRT's methods.
    "src/tensorrt/src/builder.rs",
    "src/tensorrt/src/config.rs",
    "src/tensorrt/src/context.rs",
    "src/tensorrt/src/engine.rs",
    "src/tensorrt/src/fake/network.rs",
    "src/tensorrt/src/host_memory.rs",
    "src/tensorrt/src/library.rs",
    "src/tensorrt/src/network/call.rs",
    "src/tensorrt/src/profile.rs",
    "src/tensorrt/src/runtime.rs",
    "src/tensorrt/src/sys/",
    "src/tensorrt/src/tests.rs",
    // Allocators that count.
    "src/bundle/tests/allocation.rs",
    "src/runtime/tests/no_alloc.rs",
];

const MAX_LINES: usize = 600;

/// Paths of one machine and hosts of registries.
const FORBIDDEN: &[&str] = &[
    concat!("/", "work/"),
    concat!("/", "farm/"),
    concat!("/", "root/"),
    concat!("/", "home/"),
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("registry", ".npmjs"),
    concat!("deb.", "debian.org"),
];

/// Files that name registries because that is what they are for.
const NAMES_REGISTRIES: &[&str] = &["Cargo.lock", "deny.toml"];

#[test]
fn crates_depend_only_on_the_crates_that_they_may_know() {
    let metadata = cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
    ]);
    let metadata: Value = serde_json::from_str(&metadata).expect("cargo metadata prints JSON");
    let packages = metadata["packages"]
        .as_array()
        .expect("cargo metadata lists packages");
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        let name = package["name"].as_str().expect("a package has a name");
        let edges = found.entry(name).or_default();
        for dependency in package["dependencies"]
            .as_array()
            .expect("a package has dependencies")
        {
            let to = dependency["name"]
                .as_str()
                .expect("a dependency has a name");
            if to.starts_with("tfjet") && dependency["kind"].as_str() != Some("dev") {
                edges.insert(to);
            }
        }
    }
    assert!(
        found.remove("tfjet").is_some(),
        "the root package is missing: {found:?}"
    );
    let known: BTreeSet<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        found.keys().copied().collect::<BTreeSet<_>>(),
        known,
        "crates of the workspace"
    );
    for (name, allowed) in EDGES {
        let unwanted: Vec<_> = found[name]
            .iter()
            .filter(|to| !allowed.contains(to))
            .collect();
        assert!(
            unwanted.is_empty(),
            "{name} depends on {unwanted:?}, it may on {allowed:?}"
        );
    }
}

/// The packages below `tfjet-run`, to a depth if one is given.
fn runtime_packages(depth: &[&str]) -> BTreeSet<String> {
    let mut arguments = vec!["tree", "-p", "tfjet", "--no-default-features"];
    arguments.extend(["--features", "run,video", "--edges", "normal"]);
    arguments.extend([
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--locked",
        "--offline",
    ]);
    arguments.extend(depth);
    let tree = cargo(&arguments);
    tree.lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_runtime_carries_nothing_of_the_converter() {
    let packages = runtime_packages(&[]);
    assert!(
        packages.contains("tfjet-runtime") && packages.contains("gstreamer"),
        "{packages:?}"
    );
    let unwanted: Vec<_> = HOST_ONLY
        .iter()
        .filter(|name| packages.contains(**name))
        .collect();
    assert!(unwanted.is_empty(), "tfjet-run depends on {unwanted:?}");
    let direct = runtime_packages(&["--depth", "1"]);
    let unwanted: Vec<_> = HOST_ONLY_DIRECT
        .iter()
        .filter(|name| direct.contains(**name))
        .collect();
    assert!(
        unwanted.is_empty(),
        "tfjet-run depends directly on {unwanted:?}"
    );
}

fn rust_files() -> Vec<TextFile> {
    let mut files = text_files();
    files.retain(|file| file.path.ends_with(".rs"));
    assert!(
        files
            .iter()
            .any(|file| file.path == "tests/architecture.rs"),
        "this file is missing"
    );
    files
}

#[test]
fn rust_files_are_short() {
    for file in rust_files() {
        let lines = file.text.lines().count();
        assert!(
            lines <= MAX_LINES,
            "{} has {lines} lines, more than {MAX_LINES}",
            file.path
        );
    }
}

/// Does code (not a comment) open an unsafe block, function, trait or implementation?
fn has_unsafe_code(text: &str) -> bool {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(line))
        .collect::<Vec<_>>()
        .join(" ");
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices("unsafe").any(|(at, word)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].trim_start();
        let next = after
            .split(|c: char| !is_word(c))
            .next()
            .unwrap_or_default();
        before.is_none_or(|c| !is_word(c))
            && (after.starts_with('{') || matches!(next, "fn" | "impl" | "extern" | "trait"))
    })
}

#[test]
fn unsafe_code_stands_in_few_files() {
    let files = rust_files();
    for file in &files {
        let path = file.path.as_str();
        let allowed = UNSAFE
            .iter()
            .any(|place| path == *place || place.ends_with('/') && path.starts_with(place));
        assert!(
            allowed || !has_unsafe_code(&file.text),
            "{} has unsafe code",
            file.path
        );
    }
    let crates_with_unsafe = [
        "src/bundle/src/lib.rs",
        "src/cpu/src/lib.rs",
        "src/cuda/src/lib.rs",
        "src/tensorrt/src/lib.rs",
    ];
    for TextFile { path, text } in &files {
        let is_program = path.starts_with("src/bin/") && path.ends_with("/main.rs");
        if !path.ends_with("src/lib.rs") && !is_program {
            continue;
        }
        let attribute = match crates_with_unsafe.contains(&path.as_str()) {
            true => "#![deny(unsafe_code)]",
            false => "#![forbid(unsafe_code)]",
        };
        assert!(
            text.lines().any(|line| line == attribute),
            "{path} has no {attribute}"
        );
    }
}

#[test]
fn unsafe_code_is_told_from_words_about_it() {
    // `@` stands for the keyword, so that this file has none.
    for (text, expected) in [
        ("@ { f() }", true),
        ("pub @ fn f() {}", true),
        ("@\nimpl Send for A {}", true),
        ("type F = @ extern \"C\" fn();", true),
        ("#![forbid(@_code)]", false),
        ("// @ { f() }", false),
        ("let not_@ = {};", false),
    ] {
        assert_eq!(
            has_unsafe_code(&text.replace('@', "unsafe")),
            expected,
            "{text}"
        );
    }
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    for file in text_files() {
        if NAMES_REGISTRIES.contains(&file.path.as_str()) {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            let found: Vec<_> = FORBIDDEN
                .iter()
                .filter(|word| line.contains(**word))
                .collect();
            assert!(
                found.is_empty(),
                "{}:{} names {found:?}",
                file.path,
                number + 1
            );
        }
    }
}
