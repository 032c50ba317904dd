//! Checkpoints of the old format (V1).

use std::fs;

use tfjet_convert::tensorflow::{Format, ImportOptions, import_with};

use super::{agrees, cases, copy, error, fixture};

#[test]
fn a_checkpoint_of_the_old_format_may_lie_elsewhere() {
    for (name, files) in [
        ("tf1_checkpoint_v1", &["model.ckpt"][..]),
        (
            "tf1_checkpoint_v1_shards",
            &["model.ckpt-00000-of-00002", "model.ckpt-00001-of-00002"],
        ),
    ] {
        let folder = copy(name);
        let graph = folder.path().join("model.ckpt.meta");
        let moved = folder.path().join("moved");
        fs::create_dir(&moved).unwrap();
        for file in files.iter().chain(&["checkpoint"]) {
            fs::rename(folder.path().join(file), moved.join(file)).unwrap();
        }
        let message = error(&graph, &ImportOptions::default());
        assert!(
            message.contains("is a variable, and the file holds no values"),
            "{message}"
        );
        let beside = fs::read(&graph).unwrap();
        for checkpoint in files.iter().chain(&["model.ckpt", ""]) {
            let options = ImportOptions {
                checkpoint: Some(moved.join(checkpoint)),
                ..ImportOptions::default()
            };
            let source = import_with(&graph, &options).unwrap_or_else(|it| panic!("{it}"));
            assert_eq!(source.format, Format::Checkpoint, "{checkpoint}");
        }
        // A directory without the file that names its latest checkpoint.
        fs::remove_file(moved.join("checkpoint")).unwrap();
        fs::write(moved.join("model.ckpt.meta"), beside).unwrap();
        let options = ImportOptions {
            checkpoint: Some(moved.clone()),
            ..ImportOptions::default()
        };
        assert!(import_with(&graph, &options).is_ok());
        let message = error(&moved.join(files[0]), &ImportOptions::default());
        assert!(message.contains("a part of a checkpoint"), "{message}");
    }
}

#[test]
fn variables_of_a_saved_model_may_have_the_old_format() {
    // The savers' graphs are the same but for the ops that restore.
    let folder = copy("tf1");
    let variables = folder.path().join("variables");
    fs::remove_dir_all(&variables).unwrap();
    fs::create_dir(&variables).unwrap();
    let old = fixture("tf1_checkpoint_v1/model.ckpt");
    fs::copy(&old, variables.join("variables")).unwrap();
    for (signature, case) in cases("tf1") {
        agrees(folder.path(), &signature, &case);
    }
    let message = error(&variables, &ImportOptions::default());
    assert!(
        message.contains("a directory with variables only"),
        "{message}"
    );
}

#[test]
fn damaged_checkpoints_of_the_old_format_are_refused_in_one_line() {
    let folder = copy("tf1_checkpoint_v1");
    let graph = folder.path().join("model.ckpt.meta");
    let path = folder.path().join("model.ckpt");
    let whole = fs::read(&path).unwrap();
    for place in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        fs::write(&path, &damaged).unwrap();
        if let Err(error) = import_with(&graph, &ImportOptions::default()) {
            let message = error.to_string();
            assert!(
                message.contains("`model.ckpt` is damaged: ") && !message.contains('\n'),
                "{place}: {message}"
            );
        } else {
            // Only the table's unused index of meta blocks.
            assert!(place > whole.len() - 150, "{place}");
        }
    }
}
