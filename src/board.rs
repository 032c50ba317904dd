//! Which board this is, and which of a bundle's targets is the one for it.

mod choose;

use std::fmt;
use std::fs;
use std::path::Path;

use tfjet_core::Release;

pub use choose::{BoardError, Choice, GpuFound, choose};

/// A Jetson board as its files describe it. All is absent on another machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Board {
    /// Name of the target that means this board, such as `nano`; absent for boards without one.
    pub name: Option<String>,
    /// What the maker calls it, from `/proc/device-tree/model`.
    pub model: Option<String>,
    /// The chip, such as `tegra210`, from `/proc/device-tree/compatible`.
    pub soc: Option<String>,
    /// Release of NVIDIA's Linux for Tegra, from `/etc/nv_tegra_release`.
    pub l4t: Option<Release>,
    /// The JetPack that brings this L4T.
    pub jetpack: Option<String>,
}

/// For a chip, a part of the names that its boards are `compatible` with, or of their model's name
/// in small letters, and the target.
const BOARDS: [(&str, &str, &str); 22] = [
    ("tegra210", "p3448", "nano"),
    ("tegra210", "p3450", "nano"),
    ("tegra210", "p3542", "nano"),
    ("tegra210", "jetson-nano", "nano"),
    ("tegra210", "jetson nano", "nano"),
    ("tegra186", "tegra186", "tx2"),
    ("tegra194", "p3668", "xavier-nx"),
    ("tegra194", "xavier nx", "xavier-nx"),
    ("tegra194", "p2888", "agx-xavier"),
    ("tegra194", "p2972", "agx-xavier"),
    ("tegra194", "galen", "agx-xavier"),
    ("tegra194", "agx", "agx-xavier"),
    ("tegra234", "p3701", "agx-orin"),
    ("tegra234", "agx", "agx-orin"),
    ("tegra234", "p3767-0000", "orin-nx"),
    ("tegra234", "p3767-0001", "orin-nx"),
    ("tegra234", "p3767-0002", "orin-nx"),
    ("tegra234", "orin nx", "orin-nx"),
    ("tegra234", "p3767-0003", "orin-nano"),
    ("tegra234", "p3767-0004", "orin-nano"),
    ("tegra234", "p3767-0005", "orin-nano"),
    ("tegra234", "orin nano", "orin-nano"),
];

/// L4T releases and the JetPack that brought them.
const JETPACKS: [(Release, &str); 22] = [
    (Release::new(32, 6, 1), "4.6"),
    (Release::new(32, 7, 1), "4.6.1"),
    (Release::new(32, 7, 2), "4.6.2"),
    (Release::new(32, 7, 3), "4.6.3"),
    (Release::new(32, 7, 4), "4.6.4"),
    (Release::new(32, 7, 5), "4.6.5"),
    (Release::new(32, 7, 6), "4.6.6"),
    (Release::new(35, 1, 0), "5.0.2"),
    (Release::new(35, 2, 1), "5.1"),
    (Release::new(35, 3, 1), "5.1.1"),
    (Release::new(35, 4, 1), "5.1.2"),
    (Release::new(35, 5, 0), "5.1.3"),
    (Release::new(35, 6, 0), "5.1.4"),
    (Release::new(35, 6, 1), "5.1.5"),
    (Release::new(35, 6, 4), "5.1.6"),
    (Release::new(36, 3, 0), "6.0"),
    (Release::new(36, 4, 0), "6.1"),
    (Release::new(36, 4, 3), "6.2"),
    (Release::new(36, 4, 4), "6.2.1"),
    (Release::new(36, 4, 7), "6.2.1"),
    (Release::new(36, 5, 0), "6.2.2"),
    (Release::new(39, 2, 0), "7.2"),
];

/// The board that this program runs on.
pub fn detect() -> Board {
    detect_in(Path::new("/"))
}

/// The board whose files lie under `root`.
pub fn detect_in(root: &Path) -> Board {
    let compatible = strings(root, "proc/device-tree/compatible");
    let model = strings(root, "proc/device-tree/model").into_iter().next();
    let soc = compatible.iter().find_map(|name| {
        let chip = name.strip_prefix("nvidia,")?;
        let number = chip.strip_prefix("tegra")?;
        let is_chip = number.starts_with(|c: char| c.is_ascii_digit());
        is_chip.then(|| chip.to_owned())
    });
    let release = fs::read_to_string(root.join("etc/nv_tegra_release"));
    let l4t = release.ok().and_then(|text| l4t(&text));
    let jetpack = l4t.and_then(|l4t| JETPACKS.iter().find(|(release, _)| *release == l4t));
    Board {
        name: soc
            .as_deref()
            .and_then(|soc| name(soc, &compatible, model.as_deref())),
        jetpack: jetpack.map(|(_, jetpack)| (*jetpack).to_owned()),
        model,
        soc,
        l4t,
    }
}

/// The strings of a property of the device tree, each ended by a zero byte.
fn strings(root: &Path, file: &str) -> Vec<String> {
    let bytes = fs::read(root.join(file)).unwrap_or_default();
    let parts = bytes.split(|&byte| byte == 0);
    let texts = parts.map(|part| String::from_utf8_lossy(part).trim().to_owned());
    texts.filter(|text| !text.is_empty()).collect()
}

/// The target of a board: what it is compatible with decides before what its model is called.
fn name(soc: &str, compatible: &[String], model: Option<&str>) -> Option<String> {
    let model = model.map(str::to_lowercase);
    let texts = compatible.iter().chain(&model);
    let mut boards = texts.flat_map(|text| {
        let fits =
            move |(chip, part, _): &&(&str, &str, &str)| *chip == soc && text.contains(*part);
        BOARDS.iter().filter(fits)
    });
    boards.next().map(|(_, _, name)| (*name).to_owned())
}

/// `# R32 (release), REVISION: 7.6, ...` as 32.7.6.
fn l4t(text: &str) -> Option<Release> {
    let (_, rest) = text.split_once("# R")?;
    let (major, rest) = rest.split_once(' ')?;
    let (_, rest) = rest.split_once("REVISION: ")?;
    let revision = rest.split([',', '\n']).next()?.trim();
    let (minor, patch) = revision.split_once('.').unwrap_or((revision, "0"));
    Some(Release::new(
        major.parse().ok()?,
        minor.parse().ok()?,
        patch.parse().ok()?,
    ))
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.model.as_deref().or(self.soc.as_deref());
        f.write_str(name.unwrap_or("no Jetson board"))?;
        if let Some(l4t) = self.l4t {
            write!(f, ", L4T {l4t}")?;
        }
        match &self.jetpack {
            Some(jetpack) => write!(f, ", JetPack {jetpack}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
