//! `tfjet-run doctor`: what this machine has, what is missing, and how to get it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use tfjet::cuda::{CudaError, DeviceInfo, Driver, Nvrtc};
use tfjet::exit::{self, Failed};
use tfjet::runtime::EngineCache;
use tfjet::service::sensors::{Readings, Sensors};
use tfjet::tensorrt::{Flavor, Library, TensorRtError};

/// Show what this machine has for running bundles, and what is missing
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    /// TensorRT's library, or a folder that holds it
    #[arg(long, value_name = "PATH")]
    tensorrt: Option<PathBuf>,
    /// ONNX Runtime's library
    #[arg(long, value_name = "PATH")]
    onnxruntime: Option<PathBuf>,
    /// Where engines are kept
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// A library or program.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Part {
    found: bool,
    version: Option<String>,
    path: Option<String>,
    /// Why it cannot be used, and how to get it.
    problem: Option<String>,
}

impl Part {
    fn of<E: std::fmt::Display>(result: Result<(String, String), E>) -> Self {
        match result {
            Ok((version, path)) => Self {
                found: true,
                version: Some(version),
                path: Some(path),
                problem: None,
            },
            Err(error) => Self {
                problem: Some(error.to_string()),
                ..Self::default()
            },
        }
    }

    fn text(&self) -> String {
        if let Some(problem) = &self.problem {
            return format!("missing: {problem}");
        }
        let parts: Vec<&str> = self
            .version
            .iter()
            .chain(&self.path)
            .map(String::as_str)
            .collect();
        parts.join(", ")
    }
}

#[derive(Debug, Serialize)]
struct GpuReport {
    index: u32,
    name: String,
    compute_capability: String,
    /// Has it products of 8-bit integers, for --precision int8?
    int8: bool,
    integrated: bool,
    total_bytes: u64,
    multiprocessors: u32,
    io_coherent: bool,
}

/// A Jetson board.
#[derive(Debug, Default, Serialize)]
struct BoardReport {
    model: Option<String>,
    soc: Option<String>,
    l4t: Option<String>,
    jetpack: Option<String>,
    /// The target that means it.
    target: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct CacheReport {
    path: Option<String>,
    writable: bool,
    len_bytes: u64,
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    /// Can segments run on a GPU: is there a driver, a GPU, and TensorRT or TensorRT-RTX?
    gpu_engine: bool,
    /// Can they run on the CPU: is there ONNX Runtime?
    cpu_engine: bool,
    driver: Part,
    gpus: Vec<GpuReport>,
    tensorrt: Part,
    tensorrt_rtx: Part,
    nvrtc: Part,
    onnxruntime: Part,
    gstreamer: Part,
    board: BoardReport,
    sensors: Readings,
    cache: CacheReport,
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let report = self.look();
        let text = match self.json {
            true => serde_json::to_string(&report)? + "\n",
            false => report.text()?,
        };
        write!(std::io::stdout(), "{text}").context("standard output")?;
        if report.gpu_engine || report.cpu_engine {
            return Ok(());
        }
        bail!(Failed {
            code: exit::MISSING,
            text: "nothing here can run segments: there is neither TensorRT with a GPU nor ONNX \
                   Runtime"
                .into(),
        })
    }

    fn look(&self) -> Report {
        let dirs = tfjet::cache::gpu_library_dirs();
        let driver = Driver::load();
        let devices = driver.as_ref().ok().map(Driver::devices);
        let (driver, cuda) = match driver {
            Ok(driver) => {
                let (major, minor) = driver.version();
                let part =
                    Ok::<_, CudaError>((format!("CUDA {major}.{minor}"), driver.path().into()));
                (Part::of(part), driver.version())
            }
            // Any NVRTC will do where there is no driver to load its code.
            Err(error) => (Part::of(Err(error)), (u32::MAX, 0)),
        };
        let (gpus, driver) = match devices {
            Some(Ok(devices)) => (devices.iter().map(gpu).collect(), driver),
            Some(Err(error)) => {
                let problem = Some(error.to_string());
                (Vec::new(), Part { problem, ..driver })
            }
            None => (Vec::new(), driver),
        };
        let variable = tfjet::cache::tensorrt_variable();
        let named = self.tensorrt.as_deref().or(variable.as_deref());
        let tensorrt = |flavor| {
            let library = match Library::load(flavor, named, &dirs) {
                // What is named is the other of the two.
                Err(TensorRtError::LibraryFlavor { .. }) if named.is_some() => {
                    Library::load(flavor, None, &dirs)
                }
                library => library,
            };
            Part::of(library.map(|it| (it.version().to_string(), it.path().display().to_string())))
        };
        let onnxruntime =
            tfjet::cpu::Library::load(self.onnxruntime.as_deref(), &tfjet::cache::library_dirs());
        let report = Report {
            gpu_engine: false,
            cpu_engine: onnxruntime.is_ok(),
            driver,
            gpus,
            tensorrt: tensorrt(Flavor::TensorRt),
            tensorrt_rtx: tensorrt(Flavor::TensorRtRtx),
            nvrtc: Part::of(Nvrtc::load(None, &dirs, cuda).map(|nvrtc| {
                let (major, minor) = nvrtc.version();
                (format!("NVRTC {major}.{minor}"), nvrtc.path().to_owned())
            })),
            onnxruntime: Part::of(onnxruntime.map(|it| {
                (
                    format!("ONNX Runtime {}", it.version()),
                    it.path().display().to_string(),
                )
            })),
            gstreamer: gstreamer(),
            board: board(),
            sensors: Sensors::default().read(),
            cache: self.cache(),
        };
        let has_library = report.tensorrt.found || report.tensorrt_rtx.found;
        Report {
            gpu_engine: has_library && !report.gpus.is_empty(),
            ..report
        }
    }

    fn cache(&self) -> CacheReport {
        let Some(dir) = self.cache.clone().or_else(tfjet::cache::engine_dir) else {
            let problem = Some("no home folder: name one with --cache".into());
            return CacheReport {
                problem,
                ..CacheReport::default()
            };
        };
        let opened = EngineCache::open(&dir);
        CacheReport {
            path: Some(dir.display().to_string()),
            writable: opened.is_ok(),
            len_bytes: EngineCache::at(&dir).len_bytes(),
            problem: opened.err().map(|error| error.to_string()),
        }
    }
}

fn gpu(device: &DeviceInfo) -> GpuReport {
    let (major, minor) = device.compute_capability;
    GpuReport {
        index: device.index,
        name: device.name.clone(),
        compute_capability: format!("{major}.{minor}"),
        int8: tfjet::engines::has_int8(device.compute_capability),
        integrated: device.integrated,
        total_bytes: device.total_bytes,
        multiprocessors: device.multiprocessors,
        io_coherent: device.io_coherent,
    }
}

/// The program is linked with GStreamer, so where it is built in and the program starts, it is
/// there.
fn gstreamer() -> Part {
    match cfg!(feature = "video") {
        true => Part {
            found: true,
            version: Some("built in".into()),
            ..Part::default()
        },
        false => Part {
            problem: Some("this program was built without it (feature `video`)".into()),
            ..Part::default()
        },
    }
}

fn board() -> BoardReport {
    let board = tfjet::board::detect();
    BoardReport {
        model: board.model,
        soc: board.soc,
        l4t: board.l4t.map(|release| release.to_string()),
        jetpack: board.jetpack,
        target: board.name,
    }
}

impl Report {
    fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        let board = &self.board;
        for (title, line) in [
            ("board", &board.model),
            ("JetPack", &board.jetpack),
            ("L4T", &board.l4t),
            ("target", &board.target),
        ] {
            if let Some(line) = line {
                writeln!(text, "{title:<13} {line}")?;
            }
        }
        for (title, line) in self.sensors.lines() {
            writeln!(text, "{title:<13} {line}")?;
        }
        writeln!(text, "driver        {}", self.driver.text())?;
        for gpu in &self.gpus {
            writeln!(
                text,
                "GPU {}         {}, compute capability {}{}, {:.1} GiB, {}",
                gpu.index,
                gpu.name,
                gpu.compute_capability,
                if gpu.int8 { "" } else { " (no INT8)" },
                gpu.total_bytes as f64 / f64::from(1 << 30),
                match (gpu.integrated, gpu.io_coherent) {
                    (false, _) => "memory of its own",
                    (true, true) => "memory shared with the CPU",
                    (true, false) => "memory shared with the CPU, not coherent",
                }
            )?;
        }
        for (name, part) in [
            ("TensorRT", &self.tensorrt),
            ("TensorRT-RTX", &self.tensorrt_rtx),
            ("NVRTC", &self.nvrtc),
            ("ONNX Runtime", &self.onnxruntime),
            ("GStreamer", &self.gstreamer),
        ] {
            writeln!(text, "{name:<13} {}", part.text())?;
        }
        let cache = match (&self.cache.path, &self.cache.problem) {
            (_, Some(problem)) => format!("missing: {problem}"),
            (path, None) => format!(
                "{}, {:.1} MiB",
                path.as_deref().unwrap_or_default(),
                self.cache.len_bytes as f64 / f64::from(1 << 20)
            ),
        };
        writeln!(text, "engine cache  {cache}")?;
        let runs = match (self.gpu_engine, self.cpu_engine) {
            (true, true) => "the GPU and the CPU",
            (true, false) => "the GPU",
            (false, true) => "the CPU",
            (false, false) => "nothing here",
        };
        writeln!(text, "segments run  on {runs}")?;
        Ok(text)
    }
}
