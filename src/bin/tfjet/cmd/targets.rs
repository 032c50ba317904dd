use std::fmt::Write as _;

use clap::Args;
use tfjet::convert::{TargetError, find_target, targets};
use tfjet::core::{PowerMode, Precision, Release, Target};
use tfjet::exit::Usage;

use super::print;

/// List what a bundle can be for, or show all that is known of one
///
/// `--target` takes one by name, or a TOML file like theirs.
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    /// Show this one: its name, or a TOML file
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let text = match &self.target {
            None => {
                let targets = targets()?;
                match self.json {
                    true => serde_json::to_string(&targets)? + "\n",
                    false => targets.iter().map(line).collect(),
                }
            }
            Some(name) => {
                let target = find_target(name).map_err(|error| match error {
                    TargetError::Unknown { .. } => Usage(error.to_string()).into(),
                    error => anyhow::Error::from(error),
                })?;
                match self.json {
                    true => serde_json::to_string(&target)? + "\n",
                    false => page(&target),
                }
            }
        };
        print(&text)?;
        Ok(tfjet::exit::GOOD)
    }
}

fn precisions(target: &Target) -> String {
    let precisions: Vec<String> = target.precisions.iter().map(ToString::to_string).collect();
    precisions.join(" ")
}

fn line(target: &Target) -> String {
    let mut facts = vec![target.library(), precisions(target)];
    if let Some(jetpack) = &target.jetpack {
        facts.insert(0, format!("JetPack {jetpack}"));
    }
    if let Some(capability) = target.compute_capability {
        facts.push(format!("compute capability {capability}"));
    }
    if target.dla_cores > 0 {
        facts.push(format!("{} DLA", target.dla_cores));
    }
    format!(
        "{:<11} {} ({})\n",
        target.name,
        target.description,
        facts.join(", ")
    )
}

/// All that the file says, a line for each matter; what it does not say has none.
fn page(target: &Target) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: String| {
        let _ = writeln!(text, "{what:<12} {value}");
    };
    let release = |name: &str, release: Option<Release>| release.map(|r| format!("{name} {r}"));
    line("target", format!("{}, {}", target.name, target.description));
    line(
        "engine",
        format!("{}, {}", target.library(), precisions(target)),
    );
    let software: Vec<String> = [
        target
            .jetpack
            .as_ref()
            .map(|name| format!("JetPack {name}")),
        release("L4T", target.l4t),
        release("CUDA", target.cuda),
        release("GStreamer", target.gstreamer),
        target.glibc.as_ref().map(|name| format!("glibc {name}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !software.is_empty() {
        line("software", software.join(", "));
    }
    if let Some(soc) = &target.soc {
        line("chip", soc.clone());
    }
    if let Some(cpu) = &target.cpu {
        let cores = format!("{} cores, {}, {} MHz", cpu.cores, cpu.name, cpu.mhz);
        line("CPU", cores);
    }
    if let Some(gpu) = gpu(target) {
        line("GPU", gpu);
    }
    if target.dla_cores > 0 {
        line("DLA", format!("{} cores", target.dla_cores));
    }
    if let Some(memory) = memory(target) {
        line("memory", memory);
    }
    for (index, mode) in target.power_modes.iter().enumerate() {
        let what = if index == 0 { "power modes" } else { "" };
        line(what, power_mode(mode));
    }
    text
}

fn gpu(target: &Target) -> Option<String> {
    let mut facts = Vec::new();
    if let Some(capability) = target.compute_capability {
        facts.push(format!("compute capability {capability}"));
    }
    if let Some(peak) = &target.peak_tflops {
        let all = [Precision::Fp32, Precision::Fp16, Precision::Int8];
        let peaks = all.into_iter().filter_map(|precision| {
            let tera = peak.of(precision)?;
            Some(format!("{tera} {precision}"))
        });
        let peaks: Vec<String> = peaks.collect();
        facts.push(format!("at most {} Tera operations/s", peaks.join(", ")));
    }
    (!facts.is_empty()).then(|| facts.join(", "))
}

fn memory(target: &Target) -> Option<String> {
    let mut facts = Vec::new();
    if let Some(gib) = target.memory_gib {
        facts.push(format!("{gib} GiB"));
    }
    if let Some(bandwidth) = target.bandwidth_gb_s {
        facts.push(format!("{bandwidth} GB/s"));
    }
    if target.integrated {
        let coherent = match target.io_coherent {
            true => "the CPU reads it through its caches",
            false => "reading what the GPU wrote is slow for the CPU",
        };
        facts.push(format!("CPU and GPU share it, {coherent}"));
    }
    (!facts.is_empty()).then(|| facts.join(", "))
}

fn power_mode(mode: &PowerMode) -> String {
    let mut facts = vec![format!("GPU {} MHz", mode.gpu_mhz)];
    if let Some(tpcs) = mode.gpu_tpcs {
        facts.push(format!("{tpcs} TPCs"));
    }
    if let Some(mhz) = mode.memory_mhz {
        facts.push(format!("memory {mhz} MHz"));
    }
    match (mode.cpus, mode.cpu_mhz) {
        (Some(cores), Some(mhz)) => facts.push(format!("{cores} CPU cores, {mhz} MHz")),
        (Some(cores), None) => facts.push(format!("{cores} CPU cores")),
        (None, Some(mhz)) => facts.push(format!("CPU {mhz} MHz")),
        (None, None) => {}
    }
    let watts = mode.watts.map(|watts| format!(", {watts} W"));
    format!(
        "{} ({}{}): {}",
        mode.name,
        mode.id,
        watts.unwrap_or_default(),
        facts.join(", ")
    )
}
