use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tfjet::bundle::{Bundle, EngineSection};
use tfjet::core::{Schedule, Shape, Step, TargetInfo};

use super::{print, write_file};

/// The file beside the ONNX models that holds their weights.
const WEIGHTS_FILE: &str = "weights";

/// Show what a bundle holds
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    bundle: PathBuf,
    /// Of a bundle for several targets, show this one
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
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
        let mut bundle = Bundle::open(&self.bundle)?;
        if let Some(target) = &self.target {
            bundle = bundle.select(target)?;
        }
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
        let targets = open_targets(bundle)?;
        let summary = &manifest.summary;
        let mut text = String::new();
        writeln!(
            text,
            "model      {} for {}, by tfjet {}{}",
            manifest.model,
            manifest.target.replace(',', ", "),
            manifest.tfjet_version,
            match targets.is_empty() {
                true => format!(", from {} nodes", summary.nodes),
                false => String::new(),
            }
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
        for (name, info) in &targets {
            writeln!(text, "target     {name} {}", target_text(info))?;
        }
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
        if targets.is_empty() {
            writeln!(text, "transposes {}", summary.transposes)?;
            write_steps(&mut text, &bundle.schedule()?)?;
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

/// A line for each step; those of functions stand under the step that runs them, further in, after
/// a line with the function's name.
fn write_steps(text: &mut String, schedule: &Schedule) -> std::fmt::Result {
    let mut latest = None;
    for placed in schedule.walk() {
        let indent = 2 * placed.depth;
        if let Some(id) = placed
            .function
            .filter(|_| placed.index == 0 && latest != placed.function)
        {
            let function = schedule.function(id).map_or("", |it| it.name.as_str());
            writeln!(
                text,
                "function   {:>width$}{function}",
                "",
                width = indent - 2
            )?;
        }
        latest = placed.function;
        let what = match placed.step {
            Step::Engine { segment, .. } => format!("engine {segment}"),
            step => format!("{} {}", step.kind(), step.node().unwrap_or_default()),
        };
        writeln!(text, "step {:<5} {:indent$}{what}", placed.index, "")?;
    }
    Ok(())
}

/// The targets of a bundle for several of which none is chosen.
fn open_targets(bundle: &Bundle) -> anyhow::Result<Vec<(String, TargetInfo)>> {
    let mut targets = Vec::new();
    if bundle.target().is_none() {
        for name in bundle.targets()? {
            let info = bundle.target_info(&name)?;
            targets.extend(info.map(|info| (name, info)));
        }
    }
    Ok(targets)
}

/// `TensorRT 8.2.1, 5.3: 2 segments, 208 nodes inside, 3 ops outside; sections of nano`
fn target_text(info: &TargetInfo) -> String {
    let summary = &info.summary;
    let inside: usize = summary.segments.iter().map(|segment| segment.nodes).sum();
    format!(
        "{}{}: {} segments, {inside} nodes inside, {} ops outside{}",
        info.library(),
        match info.compute_capability {
            Some(capability) => format!(", compute capability {capability}"),
            None => String::new(),
        },
        summary.segments.len(),
        summary.residual,
        match info.lowering.as_str() {
            "" => "; shares its sections".into(),
            owner => format!("; sections of {owner}"),
        }
    )
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
    let mut value = json!({
        "manifest": bundle.manifest()?,
        "engines": engines,
        "sections": sections,
    });
    let targets = open_targets(bundle)?;
    if targets.is_empty() {
        value["schedule"] = json!(bundle.schedule()?);
    } else {
        let targets = targets.into_iter().collect::<BTreeMap<_, _>>();
        value["targets"] = json!(targets);
    }
    Ok(serde_json::to_string(&value)? + "\n")
}

fn write_onnx(bundle: &Bundle, folder: &Path) -> anyhow::Result<()> {
    let models = (0..u32::try_from(bundle.segment_count())?)
        .map(|segment| bundle.onnx(segment))
        .collect::<Result<Vec<_>, _>>()?;
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (segment, model) in models.into_iter().enumerate() {
        write_file(&folder.join(format!("segment_{segment}.onnx")), model)?;
    }
    if !bundle.weights_table()?.entries.is_empty() {
        write_file(&folder.join(WEIGHTS_FILE), bundle.weights()?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tfjet::core::{Attrs, Function, FunctionId};

    use super::*;

    #[test]
    fn steps_of_functions_stand_under_the_step_that_runs_them() {
        let op = |node: &str| Step::Residual {
            node: node.into(),
            op_type: "Neg".into(),
            attrs: Attrs::default(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        let engine = Step::Engine {
            segment: 2,
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        let function = |name: &str, steps| Function {
            name: name.into(),
            steps,
            ..Function::default()
        };
        let schedule = Schedule {
            steps: vec![
                Step::While {
                    node: "map/while".into(),
                    condition: FunctionId(0),
                    body: FunctionId(1),
                    inputs: Vec::new(),
                    outputs: Vec::new(),
                },
                op("last"),
            ],
            functions: vec![
                function("cond", vec![op("less")]),
                function("body", vec![op("next"), engine]),
            ],
            ..Schedule::default()
        };
        let mut text = String::new();
        write_steps(&mut text, &schedule).unwrap();
        let expected = [
            "step 0     While map/while",
            "function   cond",
            "step 0       Neg less",
            "function   body",
            "step 0       Neg next",
            "step 1       engine 2",
            "step 1     Neg last",
            "",
        ];
        assert_eq!(text, expected.join("\n"));
    }
}
