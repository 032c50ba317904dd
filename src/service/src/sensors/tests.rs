use std::fs;

use super::{Clock, Readings, Sensors};

/// A file system with these files.
fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }
    root
}

#[test]
fn a_board_of_jetpack_4() {
    let root = machine(&[
        ("sys/class/thermal/thermal_zone0/type", "AO-therm"),
        ("sys/class/thermal/thermal_zone0/temp", "38500"),
        ("sys/class/thermal/thermal_zone1/type", "CPU-therm"),
        ("sys/class/thermal/thermal_zone1/temp", "41250"),
        ("sys/class/thermal/thermal_zone4/type", "PMIC-Die"),
        ("sys/class/thermal/thermal_zone4/temp", "100000"),
        ("sys/class/thermal/thermal_zone10/type", "GPU-therm"),
        ("sys/class/thermal/thermal_zone10/temp", "40000"),
        ("sys/class/thermal/cooling_device0/type", "pwm-fan"),
        ("sys/class/thermal/cooling_device0/cur_state", "3"),
        ("sys/class/thermal/cooling_device1/type", "gpu-balanced"),
        ("sys/class/thermal/cooling_device1/cur_state", "0"),
        (
            "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq",
            "1428000",
        ),
        (
            "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq",
            "1479000",
        ),
        (
            "sys/class/devfreq/57000000.gpu/device/of_node/name",
            "gpu\0",
        ),
        ("sys/class/devfreq/57000000.gpu/device/load", "734"),
        ("sys/class/devfreq/57000000.gpu/cur_freq", "614400000"),
        ("sys/class/devfreq/57000000.gpu/max_freq", "921600000"),
        ("var/lib/nvpmodel/status", "pmode:0001 fmode:fanNull"),
        (
            "etc/nvpmodel.conf",
            "# modes\n< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_1 1\n< POWER_MODEL ID=1 NAME=5W >",
        ),
        (
            "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/rail_name_0",
            "POM_5V_IN",
        ),
        (
            "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power0_input",
            "2345",
        ),
        (
            "proc/meminfo",
            "MemTotal:        4059712 kB\nMemAvailable:    1024 kB",
        ),
    ]);
    let clock = |name: &str, hz, max| Clock {
        name: name.into(),
        hz,
        max_hz: Some(max),
    };
    let readings = Sensors::new(root.path()).read();
    let lines: Vec<String> = readings
        .lines()
        .iter()
        .map(|(t, it)| format!("{t}: {it}"))
        .collect();
    assert_eq!(
        lines,
        [
            "power mode: 5W",
            "clocks: cpu0 1428 of 1479 MHz, gpu 614 of 922 MHz",
            "GPU load: 73 %",
            "temperatures: AO-therm 38.5 °C, CPU-therm 41.2 °C, GPU-therm 40.0 °C",
            "power: POM_5V_IN 2.35 W",
            "throttled: no",
            "free memory: 1 MiB",
        ]
    );
    assert_eq!(
        readings,
        Readings {
            temperatures: vec![
                ("AO-therm".into(), 38.5),
                ("CPU-therm".into(), 41.25),
                ("GPU-therm".into(), 40.0),
            ],
            clocks: vec![
                clock("cpu0", 1_428_000_000, 1_479_000_000),
                clock("gpu", 614_400_000, 921_600_000),
            ],
            gpu_load: Some(0.734),
            power_mode: Some("5W".into()),
            power_watts: vec![("POM_5V_IN".into(), 2.345)],
            throttled: Some(false),
            memory_available: Some(1 << 20),
        }
    );
}

#[test]
fn a_board_of_jetpack_5_and_later() {
    let root = machine(&[
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal"),
        ("sys/class/thermal/thermal_zone0/temp", "51000"),
        ("sys/class/thermal/thermal_zone1/type", "cv0-thermal"),
        ("sys/class/thermal/thermal_zone1/temp", "-256000"),
        ("sys/class/thermal/thermal_zone2/type", "cpu-thermal"),
        ("sys/class/thermal/thermal_zone2/temp", "52000"),
        ("sys/class/hwmon/hwmon1/name", "ina3221"),
        ("sys/class/hwmon/hwmon1/in1_label", "VDD_IN"),
        ("sys/class/hwmon/hwmon1/in1_input", "5000"),
        ("sys/class/hwmon/hwmon1/curr1_input", "1500"),
        ("sys/class/hwmon/hwmon1/curr1_crit_alarm", "1"),
        ("sys/class/hwmon/hwmon2/name", "tmp451"),
        ("sys/class/devfreq/17000000.ga10b/cur_freq", "306000000"),
        ("var/lib/nvpmodel/status", "pmode:0008"),
    ]);
    let readings = Sensors::new(root.path()).read();
    assert_eq!(
        readings.temperatures,
        [("cpu-thermal".into(), 51.0), ("cpu-thermal#2".into(), 52.0)]
    );
    assert_eq!(readings.power_watts, [("VDD_IN".into(), 7.5)]);
    assert_eq!(readings.throttled, Some(true));
    assert_eq!(readings.power_mode.as_deref(), Some("8"));
    let gpu = readings.clocks.first().unwrap();
    assert_eq!((gpu.hz, gpu.max_hz), (306_000_000, None));
    assert_eq!(readings.gpu_load, None);
}

#[test]
fn what_a_machine_does_not_tell_is_absent() {
    let root = machine(&[
        ("sys/class/thermal/thermal_zone0/type", "x"),
        ("sys/class/thermal/thermal_zone0/temp", "warm"),
        ("sys/class/thermal/thermal_zone1/temp", "40000"),
        ("sys/class/devfreq/57000000.gpu/device/of_node/name", "gpu"),
        ("sys/class/devfreq/57000000.gpu/device/load", "4000"),
        ("sys/class/devfreq/57000000.gpu/cur_freq", "-5"),
        (
            "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq",
            "18446744073709551615",
        ),
        ("var/lib/nvpmodel/status", "mode"),
        ("proc/meminfo", "MemAvailable: lots"),
    ]);
    assert_eq!(Sensors::new(root.path()).read(), Readings::default());
}

#[test]
fn this_machine_can_be_read() {
    let readings = Sensors::default().read();
    assert!(
        readings
            .memory_available
            .is_some_and(|bytes| bytes > 1 << 20)
    );
}
