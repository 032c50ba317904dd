use clap::Args;
use tfjet::convert::targets;
use tfjet::core::Target;

use super::print;

/// List what a bundle can be for
///
/// `--target` takes one by name, or a TOML file like theirs.
#[derive(Debug, Args)]
pub(crate) struct Cmd {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

impl Cmd {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let targets = targets()?;
        let text = match self.json {
            true => serde_json::to_string(&targets)? + "\n",
            false => targets.iter().map(line).collect(),
        };
        print(&text)?;
        Ok(tfjet::exit::GOOD)
    }
}

fn line(target: &Target) -> String {
    let precisions: Vec<String> = target.precisions.iter().map(ToString::to_string).collect();
    let mut facts = vec![target.library(), precisions.join(" ")];
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
