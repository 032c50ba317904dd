//! Flags of a build that change the engine.

use clap::Args;
use tfjet::tensorrt::Precision;

/// What the builder may do.
#[derive(Debug, Clone, Args)]
pub(crate) struct BuildFlags {
    /// fp32, or fp16 where the library finds it faster
    #[arg(long, value_name = "fp32|fp16", default_value = "fp32")]
    pub(crate) precision: Precision,
    /// Keep all 23 bits of FP32's mantissa in multiplications on Tensor Cores
    #[arg(long)]
    pub(crate) no_tf32: bool,
    /// Most memory that a layer may take for its work, in MiB; without it all of the GPU's
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) workspace: Option<u32>,
    /// Libraries whose kernels are tried, as TensorRT's bit mask; none for its own only
    #[arg(long, value_name = "MASK|none", value_parser = tactic_sources)]
    pub(crate) tactic_sources: Option<u32>,
    /// Deep learning accelerator to run on, the GPU for layers that it lacks
    #[arg(long, value_name = "N")]
    pub(crate) dla_core: Option<u32>,
    /// Keep what each layer became in the engine, for `bench` to show
    #[arg(long)]
    pub(crate) detailed: bool,
}

fn tactic_sources(text: &str) -> Result<u32, String> {
    if text == "none" {
        return Ok(0);
    }
    let mask = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    mask.map_err(|_| "expected a number, one as 0x1f, or none".into())
}

impl BuildFlags {
    /// The flags beside the precision, as engines carry them: the same text for the same engine.
    pub(crate) fn text(&self) -> String {
        let or_default = |value: Option<String>| value.unwrap_or_else(|| "default".into());
        format!(
            "tf32={} workspace={} tactics={} dla={} layers={}",
            if self.no_tf32 { "off" } else { "on" },
            or_default(self.workspace.map(|mib| format!("{mib}MiB"))),
            or_default(self.tactic_sources.map(|mask| format!("{mask:#x}"))),
            self.dla_core.map_or("none".into(), |core| core.to_string()),
            if self.detailed { "detailed" } else { "names" },
        )
    }

    /// The flags on a command line.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![format!("--precision={}", self.precision.name())];
        if self.no_tf32 {
            arguments.push("--no-tf32".into());
        }
        if let Some(mib) = self.workspace {
            arguments.push(format!("--workspace={mib}"));
        }
        if let Some(mask) = self.tactic_sources {
            arguments.push(format!("--tactic-sources={mask:#x}"));
        }
        if let Some(core) = self.dla_core {
            arguments.push(format!("--dla-core={core}"));
        }
        if self.detailed {
            arguments.push("--detailed".into());
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        flags: BuildFlags,
    }

    fn parse(arguments: &[String]) -> BuildFlags {
        let program = std::iter::once("build".to_owned());
        Cli::try_parse_from(program.chain(arguments.iter().cloned()))
            .unwrap()
            .flags
    }

    #[test]
    fn flags_survive_a_command_line() {
        for (words, text) in [
            (
                "",
                "tf32=on workspace=default tactics=default dla=none layers=names",
            ),
            (
                "--precision fp16 --no-tf32 --workspace 512 --tactic-sources none --dla-core 1 \
                 --detailed",
                "tf32=off workspace=512MiB tactics=0x0 dla=1 layers=detailed",
            ),
            (
                "--tactic-sources 0x1f",
                "tf32=on workspace=default tactics=0x1f dla=none layers=names",
            ),
        ] {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            let flags = parse(&words);
            assert_eq!(flags.text(), text);
            let again = parse(&flags.arguments());
            assert_eq!(again.text(), text);
            assert_eq!(again.precision, flags.precision);
        }
    }
}
