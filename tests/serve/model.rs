//! The model and the configuration of the services that tests start.

use std::path::{Path, PathBuf};

use crate::common::{Graph, convert};

/// A live source of 16 x 8 red pixels.
pub(crate) const RED: &str =
    "videotestsrc:pattern=red,is-live=true,width=16,height=8,framerate=50/1";

/// A bundle for images of 16 x 8 pixels that needs no engine: the mean of each channel, as three
/// classes.
pub(crate) fn means(folder: &Path) -> PathBuf {
    let graph = Graph::new()
        .placeholder("image", "DT_FLOAT", &[1, 8, 16, 3])
        .constant("axes", "DT_INT32", &[2], "int_val: 1 int_val: 2")
        .node(
            "mean",
            "Mean",
            &["image", "axes"],
            &[
                ("T", "type: DT_FLOAT"),
                ("Tidx", "type: DT_INT32"),
                ("keep_dims", "b: false"),
            ],
        );
    std::fs::write(folder.join("labels.txt"), "red\ngreen\nblue\n").unwrap();
    bundle(
        folder,
        &graph,
        "--decoder classify --top-k 3 --scale 0.00392156862745098",
    )
}

pub(crate) fn bundle(folder: &Path, graph: &Graph, flags: &str) -> PathBuf {
    let model = graph.write(folder, "model.pbtxt");
    let bundle = folder.join("model.jet");
    let flags = format!("--min-segment-size 99 --allow-residual-only --image-size 16x8 {flags}");
    convert(&model, &bundle, &flags);
    bundle
}

/// The least configuration, and more lines.
pub(crate) fn config(source: &str, more: &str) -> String {
    format!("bundle = \"model.jet\"\nlabels = \"labels.txt\"\nsource = \"{source}\"\n{more}\n")
}
