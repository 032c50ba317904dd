use std::fs;

use super::*;

/// A root folder with these files.
fn board(compatible: &str, model: &str, release: &str) -> Board {
    let root = tempfile::tempdir().expect("a folder");
    for (file, text) in [
        ("proc/device-tree/compatible", compatible),
        ("proc/device-tree/model", model),
        ("etc/nv_tegra_release", release),
    ] {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        if !text.is_empty() {
            fs::write(path, text).expect("a file");
        }
    }
    detect_in(root.path())
}

fn l4t_line(major: u32, revision: &str) -> String {
    format!(
        "# R{major} (release), REVISION: {revision}, GCID: 1, BOARD: t186ref, EABI: aarch64, \
         DATE: Tue Nov  5 07:46:14 UTC 2024\nTARGET_USERSPACE_LIB_DIR=tegra\n"
    )
}

#[test]
fn boards_are_known_by_what_they_are_compatible_with() {
    for (compatible, model, soc, expected) in [
        (
            "nvidia,p3449-0000-b00+p3448-0002-b00\0nvidia,jetson-nano\0nvidia,tegra210\0",
            "NVIDIA Jetson Nano Developer Kit\0",
            "tegra210",
            Some("nano"),
        ),
        (
            "nvidia,p3542-0000+p3448-0003\0nvidia,jetson-nano-2gb\0nvidia,tegra210\0",
            "NVIDIA Jetson Nano 2GB Developer Kit\0",
            "tegra210",
            Some("nano"),
        ),
        (
            "nvidia,p2597-0000+p2180-1000\0nvidia,jetson-cv\0nvidia,tegra210\0",
            "NVIDIA Jetson TX1 Developer Kit\0",
            "tegra210",
            None,
        ),
        (
            "nvidia,quill\0nvidia,p2597-0000+p3310-1000\0nvidia,tegra186\0",
            "quill\0",
            "tegra186",
            Some("tx2"),
        ),
        (
            "nvidia,p3509-0000+p3636-0001\0nvidia,tegra186\0",
            "NVIDIA Jetson TX2 NX Developer Kit\0",
            "tegra186",
            Some("tx2"),
        ),
        (
            "nvidia,p3449-0000+p3668-0000\0nvidia,p3509-0000+p3668-0000\0nvidia,tegra194\0",
            "NVIDIA Jetson Xavier NX Developer Kit\0",
            "tegra194",
            Some("xavier-nx"),
        ),
        (
            "nvidia,galen\0nvidia,jetson-xavier\0nvidia,p2822-0000+p2888-0001\0nvidia,tegra194\0",
            "Jetson-AGX\0",
            "tegra194",
            Some("agx-xavier"),
        ),
        (
            "nvidia,p3737-0000+p3701-0005\0nvidia,p3701-0005\0nvidia,tegra234\0",
            "NVIDIA Jetson AGX Orin Developer Kit\0",
            "tegra234",
            Some("agx-orin"),
        ),
        (
            "nvidia,p3768-0000+p3767-0001\0nvidia,p3767-0001\0nvidia,tegra234\0",
            "NVIDIA Jetson Orin NX Engineering Reference Developer Kit\0",
            "tegra234",
            Some("orin-nx"),
        ),
        (
            "nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0",
            "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
            "tegra234",
            Some("orin-nano"),
        ),
        (
            "maker,box\0nvidia,tegra234\0",
            "Maker's box with Jetson Orin NX\0",
            "tegra234",
            Some("orin-nx"),
        ),
        ("maker,box\0nvidia,tegra194\0", "A box\0", "tegra194", None),
        ("nvidia,thor\0nvidia,tegra264\0", "Thor\0", "tegra264", None),
    ] {
        let found = board(compatible, model, "");
        assert_eq!(found.name.as_deref(), expected, "{model}");
        assert_eq!(found.soc.as_deref(), Some(soc), "{model}");
        let name = model.trim_end_matches('\0');
        assert_eq!(found.model.as_deref(), Some(name));
        assert_eq!((found.l4t, found.jetpack), (None, None));
    }
}

#[test]
fn names_of_boards_are_targets() {
    let known = [
        "nano",
        "tx2",
        "xavier-nx",
        "agx-xavier",
        "orin-nano",
        "orin-nx",
        "agx-orin",
    ];
    for (_, _, name) in BOARDS {
        assert!(known.contains(&name), "{name}");
    }
    #[cfg(feature = "convert")]
    for name in known {
        assert!(crate::convert::find_target(name).is_ok(), "{name}");
    }
}

#[test]
fn l4t_tells_the_jetpack() {
    for (text, l4t, jetpack) in [
        (l4t_line(32, "7.6"), Some((32, 7, 6)), Some("4.6.6")),
        (l4t_line(35, "6.4"), Some((35, 6, 4)), Some("5.1.6")),
        (l4t_line(36, "5.0"), Some((36, 5, 0)), Some("6.2.2")),
        (l4t_line(32, "5.1"), Some((32, 5, 1)), None),
        (
            "# R39 (release), REVISION: 2".into(),
            Some((39, 2, 0)),
            Some("7.2"),
        ),
        ("# R (release), REVISION: x.y\n".into(), None, None),
        ("REVISION: 7.6\n".into(), None, None),
        ("#\n".into(), None, None),
    ] {
        let found = board("nvidia,tegra210\0", "", &text);
        let l4t = l4t.map(|(major, minor, patch)| Release::new(major, minor, patch));
        assert_eq!(found.l4t, l4t, "{text}");
        assert_eq!(found.jetpack.as_deref(), jetpack, "{text}");
    }
}

#[test]
fn another_machine_is_no_board() {
    let nothing = detect_in(std::path::Path::new("/none"));
    assert_eq!(nothing, Board::default());
    assert_eq!(nothing.to_string(), "no Jetson board");
    let pi = board(
        "raspberrypi,4-model-b\0brcm,bcm2711\0",
        "Raspberry Pi 4\0",
        "",
    );
    assert_eq!((pi.name, pi.soc), (None, None));
    let garbage = board(
        "\u{0}\u{0}nvidia,tegra\0nvidia,tegra-x\0",
        "\u{fffd}\0",
        "\0\0",
    );
    assert_eq!((garbage.name, garbage.soc, garbage.l4t), (None, None, None));
    let nano = board(
        "nvidia,p3450-0000\0nvidia,tegra210\0",
        "NVIDIA Jetson Nano Developer Kit\0",
        &l4t_line(32, "7.6"),
    );
    let text = "NVIDIA Jetson Nano Developer Kit, L4T 32.7.6, JetPack 4.6.6";
    assert_eq!(nano.to_string(), text);
}
