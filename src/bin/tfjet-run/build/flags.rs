//! Flags of a build that change the engine.

use clap::Args;
use tfjet::tensorrt::QuantizationForm;

/// What the builder may do, beside the precision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct BuildFlags {
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
    /// Compute every layer in the bundle's own numbers, never in fewer bits, or fail: to compare
    /// with what the CPU computes, since such an engine is slower
    #[arg(long)]
    pub(crate) pin_precisions: bool,
    /// How INT8 is said to TensorRT: implicit (ranges of tensors) or explicit (layers that
    /// quantize); auto is implicit before TensorRT 10
    #[arg(
        long,
        value_name = "auto|implicit|explicit",
        default_value = "auto",
        hide_default_value = true
    )]
    pub(crate) quantization: QuantizationForm,
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
    /// The flags as engines carry them: the same text for the same engine.
    pub(crate) fn text(&self) -> String {
        let or_default = |value: Option<String>| value.unwrap_or_else(|| "default".into());
        let mut text = format!(
            "tf32={} workspace={} tactics={} dla={} layers={}",
            if self.no_tf32 { "off" } else { "on" },
            or_default(self.workspace.map(|mib| format!("{mib}MiB"))),
            or_default(self.tactic_sources.map(|mask| format!("{mask:#x}"))),
            self.dla_core.map_or("none".into(), |core| core.to_string()),
            if self.detailed { "detailed" } else { "names" },
        );
        // Absent by default: engines whose text has no word of them stay current.
        if self.pin_precisions {
            text += " precisions=pinned";
        }
        if self.quantization != QuantizationForm::Auto {
            text += " quantization=";
            text += self.quantization.name();
        }
        text
    }

    /// The flags that an engine was built with, from the text that it carries; `None` for a text
    /// of another version.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut flags = Self::default();
        let mut words = text.split(' ');
        let mut value = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        flags.no_tf32 = match value("tf32")? {
            "on" => false,
            "off" => true,
            _ => return None,
        };
        flags.workspace = match value("workspace")? {
            "default" => None,
            size => Some(size.strip_suffix("MiB")?.parse().ok()?),
        };
        flags.tactic_sources = match value("tactics")? {
            "default" => None,
            mask => Some(tactic_sources(mask).ok()?),
        };
        flags.dla_core = match value("dla")? {
            "none" => None,
            core => Some(core.parse().ok()?),
        };
        flags.detailed = match value("layers")? {
            "names" => false,
            "detailed" => true,
            _ => return None,
        };
        let mut words = words.peekable();
        flags.pin_precisions = words.next_if_eq(&"precisions=pinned").is_some();
        if let Some(word) = words.next() {
            flags.quantization = word.strip_prefix("quantization=")?.parse().ok()?;
        }
        words.next().is_none().then_some(flags)
    }

    /// The flags on a command line.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
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
        if self.pin_precisions {
            arguments.push("--pin-precisions".into());
        }
        if self.quantization != QuantizationForm::Auto {
            arguments.push(format!("--quantization={}", self.quantization));
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
                "--no-tf32 --workspace 512 --tactic-sources none --dla-core 1 --detailed",
                "tf32=off workspace=512MiB tactics=0x0 dla=1 layers=detailed",
            ),
            (
                "--tactic-sources 0x1f",
                "tf32=on workspace=default tactics=0x1f dla=none layers=names",
            ),
            (
                "--pin-precisions",
                "tf32=on workspace=default tactics=default dla=none layers=names precisions=pinned",
            ),
            (
                "--pin-precisions --quantization implicit",
                "tf32=on workspace=default tactics=default dla=none layers=names precisions=pinned \
                 quantization=implicit",
            ),
            (
                "--quantization explicit --detailed",
                "tf32=on workspace=default tactics=default dla=none layers=detailed \
                 quantization=explicit",
            ),
        ] {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            let flags = parse(&words);
            assert_eq!(flags.text(), text);
            assert_eq!(parse(&flags.arguments()), flags);
            assert_eq!(BuildFlags::from_text(text), Some(flags));
        }
    }

    #[test]
    fn a_text_of_other_flags_is_none() {
        let good = BuildFlags::default().text();
        for text in [
            String::new(),
            good.replace("tf32=on", "tf32=maybe"),
            good.replace("layers", "lines"),
            good.replace("dla=none", "dla=x"),
            good.replace("workspace=default", "workspace=12"),
            format!("{good} sparse=on"),
            format!("sparse=on {good}"),
            format!("{good} precisions=free"),
            format!("{good} quantization=most"),
            format!("{good} quantization=implicit precisions=pinned"),
            format!("{good} quantization=implicit quantization=implicit"),
        ] {
            assert_eq!(BuildFlags::from_text(&text), None, "{text}");
        }
    }
}
