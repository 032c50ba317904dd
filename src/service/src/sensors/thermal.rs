use super::files::Root;

const THERMAL: &str = "sys/class/thermal";
/// A fixed figure on older boards, not a measurement.
const FAKE: &str = "PMIC-Die";

/// Temperature of each thermal zone. A name that several zones share gets a number.
pub(super) fn temperatures(root: &Root) -> Vec<(String, f32)> {
    let mut found: Vec<(String, f32)> = Vec::new();
    for zone in root.entries(THERMAL, "thermal_zone") {
        let name = root.text(zone.join("type"));
        let milli: Option<i32> = root.number(zone.join("temp"));
        let (Some(name), Some(milli)) = (name, milli) else {
            continue;
        };
        // A sensor that is off says -256 degrees.
        if name == FAKE || milli <= -100_000 {
            continue;
        }
        let same = found.iter().filter(|(other, _)| {
            other == &name
                || other
                    .strip_prefix(&name)
                    .is_some_and(|it| it.starts_with('#'))
        });
        let name = match same.count() {
            0 => name,
            count => format!("{name}#{}", count + 1),
        };
        found.push((name, milli as f32 / 1000.0));
    }
    found
}

/// Is a cooling device other than a fan at work, or an over-current alarm on?
pub(super) fn throttled(root: &Root) -> Option<bool> {
    let cooling = root
        .entries(THERMAL, "cooling_device")
        .into_iter()
        .filter(|device| {
            let kind = root.text(device.join("type")).unwrap_or_default();
            !kind.to_ascii_lowercase().contains("fan")
        })
        .filter_map(|device| root.number::<i64>(device.join("cur_state")))
        .map(|state| state > 0);
    let alarms = root
        .entries("sys/class/hwmon", "hwmon")
        .into_iter()
        .flat_map(|hwmon| root.entries(hwmon, "curr"))
        .filter(|file| file.to_string_lossy().ends_with("_crit_alarm"))
        .filter_map(|file| root.number::<i64>(file))
        .map(|alarm| alarm > 0);
    cooling.chain(alarms).reduce(|any, one| any || one)
}
