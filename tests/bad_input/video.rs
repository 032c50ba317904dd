use std::path::{Path, PathBuf};

use super::{Untouched, says};
use crate::common::{Graph, Program, cached, convert, listing, tfjet_run};

/// A bundle for small images that needs no engine.
fn bundle(folder: &Path) -> PathBuf {
    let model = Graph::new()
        .placeholder("image", "DT_FLOAT", &[1, 8, 8, 3])
        .float_op("y", "Neg", &["image"])
        .write(folder, "frames.pbtxt");
    let bundle = folder.join("frames.jet");
    convert(&model, &bundle, "--allow-residual-only --image-size 8x8");
    bundle
}

/// A run with a sink of every kind that writes a file.
fn run(folder: &Path, bundle: &Path, source: impl AsRef<std::ffi::OsStr>) -> Program {
    let mut run = tfjet_run()
        .arg("run")
        .arg(bundle)
        .arg("--source")
        .arg(source);
    for name in ["out.jsonl", "out.png", "out.mkv", "pictures/"] {
        run = run.arg("--sink").arg(folder.join(name));
    }
    run
}

#[test]
fn video_that_ends_in_the_middle_of_a_frame() {
    let Some(clip) = cached("vtest", "vtest.avi") else {
        return;
    };
    let whole = std::fs::read(clip).unwrap();
    let folder = Untouched::new();
    let bundle = bundle(folder.path());
    let cut = folder.file("cut.avi", "");
    let before = listing(folder.path());
    for length in [150_001, 1_000, 100] {
        folder.file("cut.avi", &whole[..length]);
        let ran = run(folder.path(), &bundle, &cut).run();
        says(ran.refused(3), &["cut.avi"]);
        assert_eq!(listing(folder.path()), before, "{length}");
    }
}

#[test]
fn a_megabyte_of_a_video_is_not_all_of_it() {
    let Some(clip) = cached("vtest", "vtest.avi") else {
        return;
    };
    let whole = std::fs::read(clip).unwrap();
    let folder = Untouched::new();
    let bundle = bundle(folder.path());
    let cut = folder.file("cut.avi", &whole[..(1 << 20) + 333]);
    let before = listing(folder.path());
    let lines = folder.path().join("out.jsonl");
    let run = tfjet_run()
        .arg("run")
        .arg(&bundle)
        .arg("--source")
        .arg(&cut);
    let ran = run.arg("--sink").arg(&lines).run();
    says(ran.refused(3), &["cut.avi", "ends", "frames"]);
    assert_eq!(listing(folder.path()), before);
}

#[test]
fn files_that_are_no_video() {
    let folder = Untouched::new();
    let bundle = bundle(folder.path());
    let sources = [
        folder.file("text.avi", "This is no video.\n".repeat(100)),
        folder.file("text.mkv", "This is no video.\n"),
        folder.file("empty.mp4", ""),
        folder.file("noise.mp4", [0x5a; 5000]),
        folder.file("text.png", "This is no picture.\n"),
        folder.file("empty.jpg", ""),
        folder.path().join("missing.avi"),
        folder.path().join("missing.png"),
        folder.path().join("missing"),
    ];
    let before = listing(folder.path());
    for source in sources {
        let ran = run(folder.path(), &bundle, &source).run();
        says(
            ran.refused(3),
            &[source.file_name().unwrap().to_str().unwrap()],
        );
        assert_eq!(listing(folder.path()), before, "{}", source.display());
    }
}

#[test]
fn folder_without_pictures() {
    let folder = Untouched::new();
    let bundle = bundle(folder.path());
    let source = folder.path().join("nothing");
    std::fs::create_dir(&source).unwrap();
    let before = listing(folder.path());
    let ran = run(folder.path(), &bundle, &source).run();
    says(ran.refused(3), &["nothing"]);
    assert_eq!(listing(folder.path()), before);
}

#[test]
fn one_bad_picture_among_good_ones() {
    let folder = Untouched::new();
    let bundle = bundle(folder.path());
    let pictures = folder.path().join("photos");
    let make = tfjet_run().arg("run").arg(&bundle);
    let make = make.words("--source videotestsrc:num-buffers=3,width=16,height=16");
    make.arg("--sink")
        .arg(format!("{}/", pictures.display()))
        .run()
        .good();
    std::fs::write(pictures.join("frame_000001.png"), "no picture").unwrap();
    let before = listing(folder.path());
    let ran = run(folder.path(), &bundle, &pictures).run();
    says(ran.refused(3), &["frame_000001.png"]);
    assert_eq!(listing(folder.path()), before);
}

#[test]
fn missing_camera() {
    let folder = Untouched::new();
    let bundle = bundle(folder.path());
    let before = listing(folder.path());
    for source in ["/dev/video97", "v4l2:///dev/video97?width=640&height=480"] {
        let ran = run(folder.path(), &bundle, source).run();
        says(ran.refused(4), &["/dev/video97"]);
        assert_eq!(listing(folder.path()), before);
    }
}

#[test]
fn sources_that_cannot_be_understood() {
    let folder = Untouched::new();
    let bundle = bundle(folder.path());
    let before = listing(folder.path());
    for (source, word) in [
        ("", "--source"),
        ("gst:", "gst:"),
        ("http://host/clip.mp4", "http://"),
        ("videotestsrc:num-buffers", "num-buffers"),
    ] {
        let ran = run(folder.path(), &bundle, source).run();
        says(ran.refused(2), &[word]);
        assert_eq!(listing(folder.path()), before, "{source}");
    }
    for (source, codes) in [
        ("gst:videotestsrc ! nosuchelement", &[4] as &[i32]),
        ("gst:videotestsrc ! ! fakesink", &[2, 3]),
        ("gst:videotestsrc nosuchproperty=1", &[2, 3]),
    ] {
        let ran = run(folder.path(), &bundle, source).run();
        let code = ran.code.unwrap_or_default();
        assert!(codes.contains(&code), "{ran:#?}");
        says(ran.refused(code), &[source]);
        assert_eq!(listing(folder.path()), before, "{source}");
    }
}

#[test]
fn sinks_that_cannot_be_understood_or_written() {
    let folder = Untouched::new();
    let bundle = bundle(folder.path());
    let before = listing(folder.path());
    let sink = |sinks: &[&str]| {
        let run = tfjet_run().arg("run").arg(&bundle);
        let run = run.words("--source videotestsrc:num-buffers=3,width=16,height=16");
        sinks
            .iter()
            .fold(run, |run, sink| run.arg("--sink").arg(sink))
            .run()
    };
    for sinks in [
        &["out.gif"] as &[&str],
        &["nothing"],
        &[""],
        &["out.png@first"],
        &["-", "jsonl:-"],
    ] {
        let ran = sink(sinks);
        says(ran.refused(2), &["--sink"]);
    }
    for path in [
        "nowhere/out.jsonl",
        "nowhere/out.png",
        "nowhere/out.mkv",
        "frames.jet/out.jsonl",
        "frames.jet/out.png",
        "frames.jet/out.mkv",
        "frames.jet/pictures/",
        "frames.jet/",
    ] {
        let good = folder.path().join("good.jsonl");
        let bad = format!("{}/{path}", folder.path().display());
        let ran = sink(&[good.to_str().unwrap(), &bad]);
        says(ran.refused(3), &[path.trim_end_matches('/')]);
        assert_eq!(listing(folder.path()), before, "{path}");
    }
}

#[test]
fn failed_run_keeps_what_an_earlier_one_wrote() {
    let folder = Untouched::new();
    let bundle = bundle(folder.path());
    let [first, second] = ["smpte", "red"].map(|pattern| {
        let pictures = folder.path().join(pattern);
        let source = format!("videotestsrc:num-buffers=3,width=16,height=16,pattern={pattern}");
        let make = tfjet_run()
            .arg("run")
            .arg(&bundle)
            .arg("--source")
            .arg(source);
        make.arg("--sink")
            .arg(format!("{}/", pictures.display()))
            .run()
            .good();
        pictures
    });
    std::fs::write(second.join("frame_000001.png"), "no picture").unwrap();

    run(folder.path(), &bundle, &first).run().good();
    let names = listing(folder.path());
    let read = || {
        let inside = listing(&folder.path().join("pictures"));
        let inside = inside.iter().map(|name| format!("pictures/{name}"));
        let names = ["out.jsonl", "out.mkv", "out.png"]
            .map(str::to_owned)
            .into_iter();
        let files = names.chain(inside);
        files
            .map(|name| (std::fs::read(folder.path().join(&name)).ok(), name))
            .collect::<Vec<_>>()
    };
    let before = read();
    assert_eq!(before.len(), 6);
    assert!(before.iter().all(|(bytes, _)| bytes.is_some()));

    let ran = run(folder.path(), &bundle, &second).run();
    says(ran.refused(3), &["frame_000001.png"]);
    assert_eq!(listing(folder.path()), names);
    let changed = |(old, new): (&(_, String), &(_, String))| (old != new).then(|| old.1.clone());
    let after = read();
    let changed: Vec<String> = before.iter().zip(&after).filter_map(changed).collect();
    assert!(
        changed.is_empty() && after.len() == 6,
        "changed or gone: {changed:?}"
    );
}

#[test]
fn one_sink_that_fails_at_the_end_leaves_no_other() {
    let folder = Untouched::new();
    let bundle = bundle(folder.path());
    let before = listing(folder.path());
    let path = |name: &str| folder.path().join(name);
    let run = || {
        let run = tfjet_run().arg("run").arg(&bundle);
        let run = run.words("--source videotestsrc:num-buffers=3,width=16,height=16");
        run.arg("--sink").arg(path("out.jsonl"))
    };
    let ran = run()
        .arg("--sink")
        .arg(format!("{}@9", path("late.png").display()))
        .run();
    says(ran.refused(3), &["late.png", "9"]);
    assert_eq!(listing(folder.path()), before);

    let ran = run().words("--frames 0 --sink").arg(path("out.mkv")).run();
    says(ran.refused(3), &["out.mkv"]);
    assert_eq!(listing(folder.path()), before);
}
