//! What the tests of the two programs share: running them, finding models, and making graphs.
#![allow(dead_code, unused_imports, reason = "each test takes what it needs")]

mod classifier;
mod graph;
mod machine;

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tfjet::core::Tensor;
use tfjet::runtime::{read_npz, write_npz};

pub(crate) use classifier::{Place, pictures, png};
pub(crate) use graph::Graph;
pub(crate) use machine::{Machine, rows_bundle, script};

/// After this a program is taken to hang.
const LIMIT: Duration = Duration::from_secs(120);

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code, `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    command: String,
}

impl Ran {
    /// The exit code must be 0.
    #[track_caller]
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// The program must refuse: this exit code, nothing on the standard output, and one line on
    /// the standard error, which is returned.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        let mut lines = self.stderr.lines().filter(|line| !line.trim().is_empty());
        let (Some(line), None) = (lines.next(), lines.next()) else {
            panic!("not one line: {self:#?}");
        };
        line
    }

    /// The standard output as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// The converter.
pub(crate) fn tfjet() -> Program {
    Program::new(env!("CARGO_BIN_EXE_tfjet"))
}

/// The runtime on a machine that has no GPU, whatever this one has.
pub(crate) fn tfjet_run() -> Program {
    Program::new(env!("CARGO_BIN_EXE_tfjet-run")).env("TFJET_CUDA_DRIVER", "/none/libcuda.so.1")
}

/// A program that is about to be run.
pub(crate) struct Program(Command);

impl Program {
    /// Any program.
    pub(crate) fn at(path: &str) -> Self {
        Self::new(path)
    }

    fn new(path: &str) -> Self {
        let mut command = Command::new(path);
        command.env_remove("TFJET_LOG").current_dir(root());
        Self(command)
    }

    /// Words without spaces.
    pub(crate) fn words(mut self, words: &str) -> Self {
        self.0.args(words.split_whitespace());
        self
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn run(mut self) -> Ran {
        let command = format!("{:?}", self.0);
        let mut child = self
            .0
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = reader(child.stdout.take());
        let stderr = reader(child.stderr.take());
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("the program can be waited for") {
                break status;
            }
            if begin.elapsed() > LIMIT {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{command} still runs after {LIMIT:?}");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let text = |reader: std::thread::JoinHandle<Vec<u8>>| {
            String::from_utf8(reader.join().expect("the output is read")).expect("output is text")
        };
        Ran {
            code: status.code(),
            stdout: text(stdout),
            stderr: text(stderr),
            command,
        }
    }
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("the output is read");
        }
        bytes
    })
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder that goes when the value goes.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Names in a folder, sorted, hidden ones too.
pub(crate) fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// Says on the standard error that a test is skipped; `eprintln!` would be kept from view where
/// the test passes.
pub(crate) fn skip(missing: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {missing}");
}

/// A file that `tfjet fetch` got, or `None` and a loud word.
pub(crate) fn cached(entry: &str, file: &str) -> Option<PathBuf> {
    let found = tfjet::cache::cached(entry, file);
    if found.is_none() {
        skip(&format!(
            "{file} is not in the cache; run `tfjet fetch {entry}`"
        ));
    }
    found
}

/// A file of the folder `shared` beside the repository, or `None` and a loud word.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let found = root().join("../shared").join(path);
    if !found.exists() {
        skip(&format!("there is no {}", found.display()));
        return None;
    }
    Some(found)
}

/// Is ONNX Runtime's library there? Says so where it is not.
pub(crate) fn engine() -> bool {
    let found = tfjet::cpu::Library::load(None, &tfjet::cache::library_dirs()).is_ok();
    if !found {
        skip("no ONNX Runtime; run `tfjet fetch onnxruntime` or set TFJET_ONNXRUNTIME");
    }
    found
}

/// Writes arrays.
pub(crate) fn npz(folder: &Path, name: &str, arrays: &[(&str, &Tensor)]) -> PathBuf {
    let path = folder.join(name);
    let arrays: Vec<_> = arrays
        .iter()
        .map(|(name, array)| ((*name).to_owned(), array.view()))
        .collect();
    write_npz(&path, &arrays).expect("the arrays are written");
    path
}

/// Reads arrays, sorted by name.
pub(crate) fn arrays(path: &Path) -> Vec<(String, Tensor)> {
    let mut arrays = read_npz(path).expect("the arrays are read");
    arrays.sort_by(|a, b| a.0.cmp(&b.0));
    arrays
}

/// Converts a model without a word on the standard error.
#[track_caller]
pub(crate) fn convert(model: &Path, out: &Path, flags: &str) {
    let ran = tfjet()
        .arg("convert")
        .arg(model)
        .arg("-o")
        .arg(out)
        .words(flags)
        .run()
        .good();
    assert_eq!(ran.stderr, "", "{ran:#?}");
}

/// Any picture: `height` x `width` RGB bytes that vary.
pub(crate) fn picture(shape: &[usize]) -> Tensor {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|i| ((i * 37 + i / 7) % 256) as f32)
        .collect();
    Tensor::from_slice(shape, &values).expect("the shape fits the values")
}
