use std::path::Path;

use super::files::Root;

/// The mode that `nvpmodel` last set, by the name that its configuration gives it.
pub(super) fn mode(root: &Root) -> Option<String> {
    let status = root.text("var/lib/nvpmodel/status")?;
    let number = status
        .split_whitespace()
        .find_map(|word| word.strip_prefix("pmode:"))?;
    let number: u32 = number.parse().ok()?;
    let named = root.text("etc/nvpmodel.conf").and_then(|text| {
        text.lines().find_map(|line| {
            let model = line.trim().strip_prefix("< POWER_MODEL")?;
            let field = |name: &str| {
                model
                    .split_whitespace()
                    .find_map(|it| it.strip_prefix(name))
            };
            (field("ID=")?.parse() == Ok(number)).then(|| field("NAME=").map(str::to_owned))?
        })
    });
    Some(named.unwrap_or_else(|| number.to_string()))
}

/// The rails of all power monitors: watts through the driver of JetPack 4, or volts times amperes
/// through that of later ones.
pub(super) fn rails(root: &Root) -> Vec<(String, f32)> {
    let mut found = Vec::new();
    for device in root.entries("sys/bus/i2c/drivers/ina3221x", "") {
        for iio in root.entries(&device, "iio:device") {
            for file in root.entries(&iio, "in_power") {
                let channel = channel(&file, "in_power");
                let rail = channel.and_then(|it| {
                    let name = root.text(iio.join(format!("rail_name_{it}")))?;
                    Some((name, root.number::<f32>(&file)? / 1e3))
                });
                found.extend(rail);
            }
        }
    }
    for hwmon in root.entries("sys/class/hwmon", "hwmon") {
        if root.text(hwmon.join("name")).as_deref() != Some("ina3221") {
            continue;
        }
        for file in root.entries(&hwmon, "curr") {
            let Some(channel) = channel(&file, "curr") else {
                continue;
            };
            let rail = || {
                let name = root.text(hwmon.join(format!("in{channel}_label")))?;
                let volts: f32 =
                    root.number::<f32>(hwmon.join(format!("in{channel}_input")))? / 1e3;
                let amperes: f32 = root.number::<f32>(&file)? / 1e3;
                Some((name, volts * amperes))
            };
            found.extend(rail());
        }
    }
    found
}

/// The number in `PREFIX N _input`.
fn channel(file: &Path, prefix: &str) -> Option<u32> {
    let name = file.file_name()?.to_str()?;
    let number = name.strip_prefix(prefix)?.strip_suffix("_input")?;
    number.parse().ok()
}
