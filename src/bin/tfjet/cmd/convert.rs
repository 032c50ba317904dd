use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Args;
use tfjet::bundle::{Bundle, BundleWriter};
use tfjet::convert::partition::PartitionOptions;
use tfjet::convert::{ConvertOptions, Report, Task, emit, emit_targets, lower_file, lower_targets};
use tfjet::core::Target;
use tfjet::exit::Usage;

use super::engines::EngineArgs;
use super::model::{ModelArgs, at, format_name, known};
use super::print;
use super::task::TaskArgs;
use crate::calibration::{Numbers, PrecisionArgs};

/// Turn a model into a bundle
///
/// Pre-processing and decoder of a model that `tfjet fetch` knows are its defaults; flags change
/// them. A bundle for several targets has the weights once, and `tfjet-run` uses it as the target
/// of the board that it finds.
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    #[command(flatten)]
    model: ModelArgs,
    /// The bundle to write
    #[arg(short, long, value_name = "BUNDLE")]
    out: PathBuf,
    #[command(flatten)]
    task: TaskArgs,
    #[command(flatten)]
    engines: EngineArgs,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    precision: PrecisionArgs,
}

/// Converts in memory, for the target of the options.
pub(crate) fn convert(
    path: &Path,
    name: &str,
    options: &ConvertOptions,
    task: &Task,
) -> anyhow::Result<BundleWriter> {
    let lowered = lower_file(path, options).map_err(at(path))?;
    let report = Report::new(&lowered, &options.partition);
    emit(lowered, name, task, &report).map_err(at(path))
}

/// A model in memory, and what there is to say of each target.
struct Converted {
    writer: BundleWriter,
    reports: Vec<Report>,
    format: String,
}

fn convert_for(numbers: &Numbers<'_>, targets: &[Target]) -> anyhow::Result<Converted> {
    let Numbers {
        path,
        name,
        options,
        task,
        ..
    } = *numbers;
    let mut lowered = lower_targets(path, options, targets).map_err(at(path))?;
    let format = lowered.first().map(|it| format_name(it.format));
    let precisions = numbers.place(&mut lowered)?;
    let mut reports = Vec::with_capacity(lowered.len());
    for (lowered, precision) in lowered.iter().zip(precisions) {
        let partition = PartitionOptions {
            target: lowered.target.clone(),
            ..options.partition.clone()
        };
        let mut report = Report::new(lowered, &partition);
        report.precision = precision;
        reports.push(report);
    }
    let parts = lowered.into_iter().zip(reports.iter().cloned());
    let writer = emit_targets(parts.collect(), name, task).map_err(at(path))?;
    Ok(Converted {
        writer,
        reports,
        format: format.unwrap_or_default(),
    })
}

/// The reports for a terminal. Of targets with the same networks the first has them.
fn text(path: &Path, bundle: &Bundle, reports: &[Report], format: &str) -> anyhow::Result<String> {
    let mut texts = Vec::with_capacity(reports.len());
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    for report in reports {
        let name = report.target.name.as_str();
        let info = bundle.target_info(name)?;
        let same = info.map(|info| *first.entry(info.lowering).or_insert(name));
        texts.push(match same.filter(|same| *same != name) {
            Some(same) => format!(
                "target     {name} ({}), the same networks as {same}\n",
                report.target.library
            ),
            None => report.to_text(&path.display().to_string(), format),
        });
    }
    Ok(texts.concat())
}

/// The model's name in the bundle: the manifest's, else the file's.
pub(crate) fn model_name(path: &Path) -> String {
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    match (stem, path.parent().and_then(Path::file_name)) {
        (Some(stem), Some(folder)) if stem == "model" || stem == "saved_model" => {
            folder.to_string_lossy().into_owned()
        }
        (Some(stem), _) => stem,
        (None, _) => "model".into(),
    }
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let start = Instant::now();
        let path = &self.model.model;
        if let (Ok(model), Ok(out)) = (path.canonicalize(), self.out.canonicalize())
            && model == out
        {
            bail!(Usage(format!(
                "-o would replace the model {}",
                path.display()
            )));
        }
        let known = known(path);
        let targets = self.model.graph.targets()?;
        let Some(first) = targets.first() else {
            bail!(Usage("--target names no target".into()));
        };
        let mut options = self
            .model
            .graph
            .options_for(known.as_ref(), first.clone())?;
        options.take_ranges = self.precision.takes_ranges();
        let task = self.task.apply(self.model.graph.task(known.as_ref()))?;
        let name = known.map_or_else(|| model_name(path), |entry| entry.name);
        self.precision.check(&targets)?;
        let built_here = self.engines.check(&targets)?;
        let Converted {
            mut writer,
            reports,
            format,
        } = convert_for(
            &Numbers {
                args: &self.precision,
                path,
                name: &name,
                options: &options,
                task: &task,
            },
            &targets,
        )?;
        let mut engines = String::new();
        if let Some(target) = built_here {
            engines = self
                .engines
                .build(&mut writer, &target.name)
                .with_context(|| path.display().to_string())?;
        }
        writer.write(&self.out)?;
        let bundle = Bundle::open(&self.out)?;
        bundle
            .verify()
            .context("the bundle just written does not verify")?;
        if self.json {
            let reports: Vec<String> = reports.iter().map(Report::to_json).collect();
            print(&match reports.as_slice() {
                [report] => format!("{report}\n"),
                reports => format!("[{}]\n", reports.join(",")),
            })?;
        } else {
            print(&text(path, &bundle, &reports, &format)?)?;
            print(&engines)?;
            print(&format!(
                "wrote      {}, {:.1} MiB, in {:.2} s\n",
                self.out.display(),
                bundle.len_bytes() as f64 / f64::from(1 << 20),
                start.elapsed().as_secs_f64(),
            ))?;
        }
        Ok(tfjet::exit::GOOD)
    }
}
