use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tfjet::bundle::{Bundle, EngineSection};
use tfjet::core::{Shape, Step};

use super::{print, write_file};

/// The file beside the ONNX models that holds their weights.
const WEIGHTS_FILE: &str = "weights";

/// Show what a bundle holds
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    bundle: PathBuf,
    /// Write the segments' ONNX models and their weights into this folder
    #[arg(long, value_name = "DIR")]
    onnx: Option<PathBuf>,
    /// List every layer of every network
    #[arg(long)]
    layers: bool,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

fn shape_text(shape: Option<&Shape>) -> String {
    shape.map_or_else(|| "[?]".into(), ToString::to_string)
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let bundle = Bundle::open(&self.bundle)?;
        if let Some(folder) = &self.onnx {
            write_onnx(&bundle, folder)?;
        }
        let text = if self.json {
            json_text(&bundle)?
        } else {
            self.text(&bundle)?
        };
        print(&text)?;
        Ok(tfjet::exit::GOOD)
    }

    fn text(&self, bundle: &Bundle) -> anyhow::Result<String> {
        let manifest = bundle.manifest()?;
        let schedule = bundle.schedule()?;
        let summary = &manifest.summary;
        let mut text = String::new();
        writeln!(
            text,
            "model      {} for {}, by tfjet {}, from {} nodes",
            manifest.model, manifest.target, manifest.tfjet_version, summary.nodes
        )?;
        for input in &manifest.inputs {
            let shape = shape_text(input.shape.as_ref());
            writeln!(text, "input      {} {} {shape}", input.name, input.dtype)?;
        }
        for output in &manifest.outputs {
            let shape = shape_text(output.shape.as_ref());
            writeln!(text, "output     {} {} {shape}", output.name, output.dtype)?;
        }
        match &manifest.preprocess {
            Some(p) => writeln!(
                text,
                "preprocess {}x{} {:?} {:?} {:?} {:?}, mean {:?}, scale {:?}",
                p.width, p.height, p.resize, p.filter, p.color, p.layout, p.mean, p.scale
            )?,
            None => writeln!(text, "preprocess none")?,
        }
        writeln!(
            text,
            "decoder    {:?}, {} labels",
            manifest.decoder,
            manifest.labels.len()
        )?;
        for segment in &summary.segments {
            writeln!(
                text,
                "segment    {}: {} nodes, {} layers, {:.3} GFLOP",
                segment.name,
                segment.nodes,
                segment.layers,
                segment.flops as f64 / 1e9
            )?;
        }
        writeln!(text, "transposes {}", summary.transposes)?;
        for (index, step) in schedule.steps.iter().enumerate() {
            match step {
                Step::Engine { segment, .. } => writeln!(text, "step {index:<5} engine {segment}")?,
                Step::Residual { node, op_type, .. } => {
                    writeln!(text, "step {index:<5} {op_type} {node}")?;
                }
            }
        }
        for engine in bundle.engines() {
            let EngineSection {
                segment,
                header,
                bytes,
            } = engine?;
            writeln!(
                text,
                "engine     {segment} for {}{}: {:.1} MiB, {}",
                header.target(),
                match header.gpu.as_str() {
                    "" => String::new(),
                    gpu => format!(" on {gpu}"),
                },
                bytes.len() as f64 / f64::from(1 << 20),
                header.flags
            )?;
        }
        for section in bundle.sections() {
            writeln!(
                text,
                "section    {:<12} {:>3} {:>12} bytes at {}{}",
                section.id.kind.name(),
                section.id.index,
                section.len_bytes,
                section.offset,
                match section.id.target.as_str() {
                    "" => String::new(),
                    target => format!(" for {target}"),
                }
            )?;
        }
        if self.layers {
            for index in 0..bundle.segment_count() {
                let network = bundle.network(u32::try_from(index)?)?;
                for layer in &network.layers {
                    let made = layer.outputs.first().and_then(|id| network.tensor(*id));
                    let made =
                        made.map_or_else(String::new, |t| format!("{} {}", t.dtype, t.shape));
                    writeln!(
                        text,
                        "layer      {index} {:<16} {made:<28} {}",
                        layer.layer.kind(),
                        layer.name
                    )?;
                }
            }
        }
        for note in &summary.notes {
            writeln!(text, "note       {note}")?;
        }
        Ok(text)
    }
}

fn json_text(bundle: &Bundle) -> anyhow::Result<String> {
    let sections: Vec<_> = bundle
        .sections()
        .iter()
        .map(|section| {
            json!({
                "kind": section.id.kind.name(),
                "index": section.id.index,
                "target": section.id.target,
                "offset": section.offset,
                "len_bytes": section.len_bytes,
            })
        })
        .collect();
    let mut engines = Vec::new();
    for engine in bundle.engines() {
        let EngineSection {
            segment,
            header,
            bytes,
        } = engine?;
        engines.push(json!({
            "segment": segment,
            "target": header.target(),
            "library": header.library,
            "compute_capability": header.compute_capability,
            "precision": header.precision,
            "gpu": header.gpu,
            "flags": header.flags,
            "profiles": header.profiles,
            "build_seconds": header.build_seconds,
            "len_bytes": bytes.len(),
        }));
    }
    let value = json!({
        "manifest": bundle.manifest()?,
        "schedule": bundle.schedule()?,
        "engines": engines,
        "sections": sections,
    });
    Ok(serde_json::to_string(&value)? + "\n")
}

fn write_onnx(bundle: &Bundle, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for index in 0..bundle.segment_count() {
        let model = bundle.onnx(u32::try_from(index)?)?;
        write_file(&folder.join(format!("segment_{index}.onnx")), model)?;
    }
    if !bundle.weights_table()?.entries.is_empty() {
        write_file(&folder.join(WEIGHTS_FILE), bundle.weights()?)?;
    }
    Ok(())
}
