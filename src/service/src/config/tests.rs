use super::*;

const LEAST: &str = "bundle = \"a.jet\"\nsource = \"videotestsrc\"\n";

fn mask(text: &str) -> String {
    text.replace("secret", "***")
}

fn problems(text: &str) -> Vec<String> {
    match Config::parse(text, mask) {
        Ok(config) => panic!("{config:?}"),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_least_file_has_the_defaults() {
    let config = Config::parse(LEAST, mask).unwrap();
    assert_eq!(config.source_timeout.0, Duration::from_secs(300));
    assert_eq!(config.engine.device, None);
    assert_eq!((config.metrics, config.threshold), (None, None));
    assert!(config.sinks.is_empty() && config.thresholds.is_empty());
    assert!(!config.prepare && !config.looped);
}

#[test]
fn every_value_is_read() {
    let config = Config::parse(
        "bundle = \"a.jet\"\nsource = \"csi:0\"\nloop = true\nframe_timeout = 0.5\n\
         source_timeout = 60\nretry_first = 1\nretry_most = 2\nprepare = true\n\
         prepare_timeout = 7\nlabels = \"l.txt\"\nthreshold = 0.5\nclasses = [\"cat\"]\n\
         metrics = \"[::1]:9464\"\nlog = \"warn,tfjet_video=debug\"\n\
         thresholds = { cat = 0.7, \"sea.lion\" = 1 }\n\
         [engine]\ndevice = \"gpu\"\ngpu = 1\nprecision = \"fp16\"\ntensorrt = \"t\"\n\
         onnxruntime = \"o\"\ncache = \"c\"\nthreads = 2\ndynamic = \"never-build\"\n\
         dynamic_capacity = 3\nmax_memory = 512\nworkspace = 256\ntactic_sources = 0x1f\ndla_core = 1\n\
         [[sink]]\nto = \"-\"\n[[sink]]\nto = \"{time}.mkv\"\nevery = 600\n",
        mask,
    )
    .unwrap();
    assert_eq!(config.frame_timeout.0, Duration::from_millis(500));
    assert_eq!(config.thresholds["sea.lion"], 1.0);
    assert_eq!(config.engine.device.map(Device::text), Some("gpu"));
    assert_eq!(
        config.engine.dynamic.map(Dynamic::text),
        Some("never-build")
    );
    assert_eq!(config.engine.tactic_sources, Some(TacticSources(0x1f)));
    assert_eq!(
        (config.engine.workspace, config.engine.dla_core),
        (Some(256), Some(1))
    );
    let [first, second] = config.sinks.as_slice() else {
        panic!("{config:?}")
    };
    assert_eq!((first.to.as_str(), first.every), ("-", None));
    assert_eq!(second.every, Some(Seconds(Duration::from_secs(600))));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name() {
    for (text, expected) in [
        (
            "treshold = 0.5",
            "line 3: unknown key `treshold`; did you mean `threshold`?",
        ),
        (
            "[engine]\ndevise = \"cpu\"",
            "line 4: unknown key `engine.devise`; did you mean `engine.device`?",
        ),
        (
            "[[sink]]\nto = \"-\"\nevry = 1",
            "line 5: unknown key `sink.evry`; did you mean `sink.every`?",
        ),
        (
            "precision = \"fp16\"",
            "line 3: unknown key `precision`; did you mean `engine.precision`?",
        ),
        (
            "sinks = [\"-\"]",
            "line 3: unknown key `sinks`; did you mean `sink`?",
        ),
        ("zzz = 1", "line 3: unknown key `zzz`"),
        ("[secret]\na = 1\nb = 2", "line 3: unknown key `***`"),
        (
            "[engines.gpu]\na = 1",
            "line 3: unknown key `engines`; did you mean `engine`?",
        ),
    ] {
        let found = problems(&format!("{LEAST}{text}\n"));
        assert_eq!(found, [expected], "{text}");
    }
}

#[test]
fn every_unknown_key_is_named_at_once() {
    let found = problems("bundel = \"a\"\nsource = \"b\"\n[engine]\nx = 1\n[[sink]]\ntoo = 1\n");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("line 1: unknown key `bundel`; did you mean `bundle`"));
}

#[test]
fn a_value_that_cannot_be_is_refused_by_name_and_line() {
    for (text, expected) in [
        (
            "threshold = 1.5",
            "line 3: threshold: the score is 1.5, expected 0 to 1",
        ),
        (
            "threshold = nan",
            "line 3: threshold: the score is NaN, expected 0 to 1",
        ),
        (
            "thresholds = { cat = -1 }",
            "line 3: thresholds: the score of `cat` is -1, expected 0 to 1",
        ),
        (
            "metrics = \"0.0.0.0:80\"",
            "line 3: metrics: 0.0.0.0:80 can be reached from outside",
        ),
        ("metrics = \"secret\"", "line 3: metrics: "),
        (
            "source_timeout = 0",
            "line 3: source_timeout: 0 is not a number of seconds",
        ),
        (
            "source_timeout = 1",
            "line 3: source_timeout: it is not longer than frame_timeout",
        ),
        (
            "retry_most = 1e-3",
            "line 3: retry_most: it is shorter than retry_first",
        ),
        (
            "retry_most = \"secret\"",
            "line 3: retry_most: invalid type: string \"***\"",
        ),
        ("prepare = 1", "line 3: prepare: invalid type"),
        ("log = \"a=b=c\"", "line 3: log: "),
        (
            "[engine]\ndevice = \"tpu\"",
            "line 4: engine.device: unknown variant `tpu`, expected ",
        ),
        (
            "[engine]\nthreads = 257",
            "line 4: engine.threads: it is above 256",
        ),
        (
            "[engine]\ndynamic_capacity = 0",
            "line 4: engine.dynamic_capacity: it is not from 1 to 64",
        ),
        (
            "[engine]\nworkspace = 0",
            "line 4: engine.workspace: it is 0",
        ),
        (
            "[engine]\ndla_core = 0",
            "line 4: engine.dla_core: it means nothing without prepare = true or engine.dynamic",
        ),
        (
            "[engine]\ndynamic = \"off\"\ntactic_sources = \"none\"",
            "line 5: engine.tactic_sources: it means nothing without prepare = true or ",
        ),
        (
            "prepare = true\n[engine]\ntactic_sources = \"all\"",
            "line 5: engine.tactic_sources: invalid value: string \"all\", expected a bit mask, ",
        ),
        (
            "prepare = true\n[engine]\ntactic_sources = -1",
            "line 5: engine.tactic_sources: invalid value: integer `-1`, expected a bit mask, ",
        ),
        (
            "[[sink]]\nto = \"a.mkv\"\nevery = 9",
            "line 5: sink.every: `a.mkv` has no {time}",
        ),
        ("[[sink]]\nevery = 9", "missing field `to`"),
        ("source = \"twice\"", "line 3: "),
        ("a = \"rtsp://u:secret@h", "line 3: "),
    ] {
        let found = problems(&format!("{LEAST}{text}\n"));
        assert!(found[0].contains(expected), "{text}: {found:?}");
        assert!(!found.concat().contains("secret"), "{text}: {found:?}");
    }
    assert!(problems("source = \"a\"\n")[0].contains("missing field `bundle`"));
    assert!(problems("")[0].contains("missing field"));
}

#[test]
fn several_wrong_values_are_one_line() {
    let problems =
        Config::parse(&format!("{LEAST}threshold = 2\nsource_timeout = 1\n"), mask).unwrap_err();
    let error = ConfigError {
        file: "a.toml".into(),
        problems,
    };
    let text = error.to_string();
    assert!(text.starts_with("a.toml: line 3: threshold: "), "{text}");
    assert!(text.contains("; line 4: source_timeout: "), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::read(Path::new("/none/a.toml"), mask).unwrap_err();
    assert!(error.to_string().starts_with("/none/a.toml: "), "{error}");
}

#[test]
fn keys_are_those_of_the_tables() {
    let keys = Config::keys();
    for key in [
        "bundle",
        "loop",
        "thresholds",
        "engine.max_memory",
        "sink.to",
    ] {
        assert!(keys.iter().any(|known| known == key), "{keys:?}");
    }
    assert!(
        !keys
            .iter()
            .any(|key| key == "engine" || key == "sink" || key == "looped")
    );
}

#[test]
fn what_a_running_service_cannot_change_is_named() {
    let old = Config::parse(LEAST, mask).unwrap();
    let text = format!("{LEAST}threshold = 0.5\nclasses = [\"a\"]\nlog = \"warn\"\n");
    let new = Config::parse(&text, mask).unwrap();
    assert_eq!(old.needs_restart(&new), [] as [&str; 0]);
    let text = "bundle = \"a.jet\"\nsource = \"csi:0\"\nloop = true\nthreshold = 0.5\n\
                [engine]\ngpu = 1\n[[sink]]\nto = \"-\"\n";
    let new = Config::parse(text, mask).unwrap();
    assert_eq!(
        old.needs_restart(&new),
        ["source", "loop", "engine", "sink"]
    );
    let mut mixed = old.clone();
    mixed.take_reloadable(&new);
    assert_eq!(mixed.threshold, Some(0.5));
    assert_eq!(
        mixed.needs_restart(&new),
        ["source", "loop", "engine", "sink"]
    );
}
