use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use tfjet::bundle::{Bundle, BundleWriter};
use tfjet::convert::partition::PartitionOptions;
use tfjet::convert::{
    ConvertOptions, DecoderOptions, ImageOptions, Report, Task, emit, emit_targets, lower_file,
    lower_targets,
};
use tfjet::core::{BoxColumns, ColorOrder, ResizeFilter, ResizeMode, Target};
use tfjet::exit::Usage;

use super::engines::EngineArgs;
use super::model::{ModelArgs, at, format_name, known, known_task};
use super::print;

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
}

/// What the model is for.
#[derive(Debug, Args)]
struct TaskArgs {
    /// Width and height of the model's image, where the model leaves them open
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = parse_size)]
    image_size: Option<(usize, usize)>,
    /// How a frame is fitted: stretch, letterbox, letterbox:VALUE, or crop:FRACTION
    #[arg(long, value_name = "MODE", value_parser = parse_resize)]
    resize: Option<ResizeMode>,
    /// How pixels are interpolated
    #[arg(long)]
    filter: Option<Filter>,
    /// Order of the channels that the model expects
    #[arg(long)]
    color: Option<Color>,
    /// Subtracted from a pixel (0..255): one value or one per channel
    #[arg(long, value_name = "V[,V,V]", value_parser = parse_channels, allow_hyphen_values = true)]
    mean: Option<[f32; 3]>,
    /// Multiplied after: one value or one per channel
    #[arg(long, value_name = "V[,V,V]", value_parser = parse_channels, allow_hyphen_values = true)]
    scale: Option<[f32; 3]>,
    /// What the outputs mean
    #[arg(long)]
    decoder: Option<DecoderKind>,
    /// The output to decode, where there are several
    #[arg(long, value_name = "NAME")]
    decode_output: Option<String>,
    /// Lowest score of a detection
    #[arg(long, value_name = "SCORE", value_parser = parse_score)]
    threshold: Option<f32>,
    /// Classes that a classifier shows
    #[arg(long, value_name = "N", default_value_t = 5)]
    top_k: usize,
    /// Subtracted from a class to find its label (1 where class 0 is the background)
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        allow_hyphen_values = true
    )]
    class_offset: i32,
    /// Columns of a detection row, in order
    #[arg(long, value_name = "x1,y1,x2,y2,score,class", value_parser = parse_columns)]
    columns: Option<BoxColumns>,
    /// Boxes of detection rows are in 0..1
    #[arg(long)]
    normalized_boxes: bool,
    /// Names of the classes, one per line
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Filter {
    Nearest,
    Bilinear,
    Bicubic,
    Area,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Color {
    Rgb,
    Bgr,
    Gray,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DecoderKind {
    /// Outputs as they are
    Raw,
    /// Best classes of one output
    Classify,
    /// detection_boxes, detection_scores, detection_classes, num_detections
    DetectSsd,
    /// One output with a row per detection
    DetectRows,
}

fn parse_score(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(score) if score.is_finite() => Ok(score),
        _ => Err(format!("`{text}` is no number")),
    }
}

fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let (width, height) = text.split_once('x').ok_or("expected WIDTHxHEIGHT")?;
    let number = |text: &str| match text.parse() {
        Ok(0) | Err(_) => Err(format!("`{text}` is no size")),
        Ok(value) => Ok(value),
    };
    Ok((number(width)?, number(height)?))
}

fn parse_resize(text: &str) -> Result<ResizeMode, String> {
    match text.split_once(':') {
        None if text == "stretch" => Ok(ResizeMode::Stretch),
        None if text == "letterbox" => Ok(ResizeMode::Letterbox(0)),
        Some(("letterbox", value)) => value
            .parse()
            .map(ResizeMode::Letterbox)
            .map_err(|_| format!("`{value}` is not 0..255")),
        Some(("crop", value)) => match value.parse::<f32>() {
            Ok(fraction) if fraction > 0.0 && fraction <= 1.0 => {
                Ok(ResizeMode::CenterCrop(fraction))
            }
            _ => Err(format!("`{value}` is no fraction in 0..1")),
        },
        _ => Err("expected stretch, letterbox, letterbox:VALUE or crop:FRACTION".into()),
    }
}

fn parse_channels(text: &str) -> Result<[f32; 3], String> {
    let values: Vec<f32> = text
        .split(',')
        .map(|value| match value.trim().parse::<f32>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(format!("`{value}` is no number")),
        })
        .collect::<Result<_, _>>()?;
    match values.as_slice() {
        [value] => Ok([*value; 3]),
        [a, b, c] => Ok([*a, *b, *c]),
        _ => Err("expected one value or three".into()),
    }
}

fn parse_columns(text: &str) -> Result<BoxColumns, String> {
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    let find = |name: &str| {
        names
            .iter()
            .position(|n| *n == name)
            .ok_or_else(|| format!("column `{name}` is missing"))
    };
    Ok(BoxColumns {
        x1: find("x1")?,
        y1: find("y1")?,
        x2: find("x2")?,
        y2: find("y2")?,
        score: find("score")?,
        class: find("class")?,
    })
}

impl TaskArgs {
    /// The flags over `task`.
    fn apply(&self, mut task: Task) -> anyhow::Result<Task> {
        let given = self.image_size.is_some() || self.resize.is_some() || self.filter.is_some();
        let given = given || self.color.is_some() || self.mean.is_some() || self.scale.is_some();
        if given || task.image.is_some() {
            let image = task.image.get_or_insert_with(ImageOptions::default);
            image.required |= given;
            image.size = self.image_size.or(image.size);
            image.resize = self.resize.unwrap_or(image.resize);
            image.mean = self.mean.unwrap_or(image.mean);
            image.scale = self.scale.unwrap_or(image.scale);
            if let Some(filter) = self.filter {
                image.filter = match filter {
                    Filter::Nearest => ResizeFilter::Nearest,
                    Filter::Bilinear => ResizeFilter::Bilinear,
                    Filter::Bicubic => ResizeFilter::Bicubic,
                    Filter::Area => ResizeFilter::Area,
                };
            }
            if let Some(color) = self.color {
                image.color = match color {
                    Color::Rgb => ColorOrder::Rgb,
                    Color::Bgr => ColorOrder::Bgr,
                    Color::Gray => ColorOrder::Gray,
                };
            }
        }
        if let Some(kind) = self.decoder {
            task.decoder = self.decoder(kind);
        } else if let Some(given) = self.threshold {
            match &mut task.decoder {
                DecoderOptions::DetectSsd { threshold, .. }
                | DecoderOptions::DetectRows { threshold, .. } => *threshold = given,
                _ => bail!(Usage("--threshold needs a detector: add --decoder".into())),
            }
        }
        if let Some(file) = &self.labels {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            task.labels = text.lines().map(|line| line.trim().to_owned()).collect();
        }
        Ok(task)
    }

    fn decoder(&self, kind: DecoderKind) -> DecoderOptions {
        let threshold = self.threshold.unwrap_or(0.3);
        match kind {
            DecoderKind::Raw => DecoderOptions::Raw,
            DecoderKind::Classify => DecoderOptions::Classify {
                output: self.decode_output.clone(),
                top_k: self.top_k,
            },
            DecoderKind::DetectSsd => DecoderOptions::DetectSsd {
                boxes: "detection_boxes".into(),
                scores: "detection_scores".into(),
                classes: "detection_classes".into(),
                count: Some("num_detections".into()),
                class_offset: self.class_offset,
                threshold,
            },
            DecoderKind::DetectRows => DecoderOptions::DetectRows {
                output: self.decode_output.clone(),
                columns: self.columns.unwrap_or(BoxColumns {
                    x1: 0,
                    y1: 1,
                    x2: 2,
                    y2: 3,
                    score: 4,
                    class: 5,
                }),
                normalized: self.normalized_boxes,
                threshold,
            },
        }
    }
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

fn convert_for(
    path: &Path,
    name: &str,
    options: &ConvertOptions,
    targets: &[Target],
    task: &Task,
) -> anyhow::Result<Converted> {
    let lowered = lower_targets(path, options, targets).map_err(at(path))?;
    let format = lowered.first().map(|it| format_name(it.format));
    let mut reports = Vec::with_capacity(lowered.len());
    for lowered in &lowered {
        let partition = PartitionOptions {
            target: lowered.target.clone(),
            ..options.partition.clone()
        };
        reports.push(Report::new(lowered, &partition));
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
        let options = self
            .model
            .graph
            .options_for(known.as_ref(), first.clone())?;
        let defaults = match &known {
            Some(entry) if self.model.graph.output.is_empty() => known_task(entry),
            _ => Task::default(),
        };
        let task = self.task.apply(defaults)?;
        let name = known.map_or_else(|| model_name(path), |entry| entry.name);
        let built_here = self.engines.check(&targets)?;
        let Converted {
            mut writer,
            reports,
            format,
        } = convert_for(path, &name, &options, &targets, &task)?;
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
