//! `tfjet-run check`, and what is written about configurations.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "serve/model.rs"]
mod model;

use common::{folder, root, tfjet_run};
use model::{RED, config, means};
use tfjet_service::config::Config;

#[test]
fn a_configuration_is_checked_with_all_that_it_names() {
    let folder = folder();
    means(folder.path());
    let file = folder.path().join("service.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        tfjet_run().arg("check").arg(&file).run()
    };
    let good = check(&config(
        RED,
        "classes = [\"red\"]\n[[sink]]\nto = \"{time}.mkv\"\nevery = 60",
    ));
    let text = good.good().stdout;
    assert!(
        text.contains("service.toml is good") && text.contains("mkv"),
        "{text}"
    );
    for (text, code, expected) in [
        (
            config(RED, "treshold = 1"),
            2,
            "line 4: unknown key `treshold`; did you mean",
        ),
        (
            config(RED, "threshold = 7\nmetrics = \"1.2.3.4:5\""),
            2,
            "; line 5: metrics: ",
        ),
        (
            config(RED, "classes = [\"rde\"]"),
            2,
            "classes: no class is called `rde`; did you mean `red`?",
        ),
        (config("nothing://a", ""), 2, "nothing://a"),
        (
            config(RED, "[[sink]]\nto = \"a.gif\""),
            2,
            "sink.to: --sink `a.gif`",
        ),
        (
            config(RED, "[[sink]]\nto = \"a.png\"\n[[sink]]\nto = \"a.png@3\""),
            2,
            "two sinks",
        ),
        (
            config(RED, "").replace("model.jet", "other.jet"),
            3,
            "other.jet",
        ),
        (
            config(RED, "").replace("labels.txt", "other.txt"),
            3,
            "labels: other.txt",
        ),
        ("source = 1".into(), 2, "service.toml: "),
    ] {
        let ran = check(&text);
        let line = ran.refused(code);
        assert!(line.contains(expected), "{line}");
    }
    let missing = tfjet_run().words("check none.toml").run();
    assert!(missing.refused(2).contains("none.toml: "));
}

#[test]
fn every_key_is_documented_and_the_example_is_good() {
    let docs = std::fs::read_to_string(root().join("docs/service.md")).unwrap();
    let path = root().join("systemd/example.toml");
    let example = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = example
        .lines()
        .map(|line| line.trim_start_matches('#').trim())
        .collect();
    for key in Config::keys() {
        assert!(
            docs.contains(&format!("| `{key}` |")),
            "docs/service.md lacks {key}"
        );
        let last = key.rsplit('.').next().unwrap();
        let shown = |line: &&str| line.starts_with(&format!("{last} = "));
        let table = || key == "thresholds" && lines.contains(&"[thresholds]");
        assert!(
            lines.iter().any(shown) || table(),
            "systemd/example.toml lacks {key}"
        );
    }
    let checked = tfjet_run()
        .words("check --file-only")
        .arg(&path)
        .run()
        .good();
    assert!(checked.stdout.contains("is good"), "{checked:#?}");
    let all: String = example
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => key.to_owned() + "\n",
            _ => line.to_owned() + "\n",
        })
        .collect();
    let config = Config::parse(&all, str::to_owned).unwrap_or_else(|problems| {
        panic!("with every key set it is not: {problems:?}\n{all}");
    });
    assert!(config.prepare && config.threshold.is_some() && !config.classes.is_empty());
}
