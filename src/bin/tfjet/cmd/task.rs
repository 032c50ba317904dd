//! Flags that say how a frame becomes an input and what outputs mean.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use tfjet::convert::{DecoderOptions, ImageOptions, Task};
use tfjet::core::{BoxColumns, ColorOrder, ResizeFilter, ResizeMode};
use tfjet::exit::Usage;

/// What the model is for.
#[derive(Debug, Args)]
pub(crate) struct TaskArgs {
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
    BoxColumns::named(&names).map_err(|name| format!("column `{name}` is missing"))
}

impl TaskArgs {
    /// The flags over `task`.
    pub(crate) fn apply(&self, mut task: Task) -> anyhow::Result<Task> {
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
