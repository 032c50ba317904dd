use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Graph, folder};

/// Numbers from -0.5 to 0.5 that look random.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        })
        .collect()
}

impl Graph {
    /// A classifier of images of 8x8 pixels into four classes: `conv`, `fc`, probabilities `y`.
    pub(crate) fn classifier() -> Self {
        Self::classifier_of(noise(3 * 3 * 3 * 8, 1), noise(8 * 4, 2))
    }

    /// A classifier of which the layer `fc` cannot do with 8 bits: one channel that it reads is
    /// hundreds of times as large as the others, and says nothing.
    pub(crate) fn fragile_classifier() -> Self {
        let mut kernel = noise(3 * 3 * 3 * 8, 1);
        for channels in kernel.chunks_exact_mut(8) {
            channels.iter_mut().for_each(|weight| *weight *= 0.1);
            channels[0] = 8.0;
        }
        let mut product = noise(8 * 4, 2);
        product[..4].fill(0.0);
        Self::classifier_of(kernel, product)
    }

    fn classifier_of(kernel: Vec<f32>, product: Vec<f32>) -> Self {
        let float = "type: DT_FLOAT";
        Self::new()
            .placeholder("x", "DT_FLOAT", &[1, 8, 8, 3])
            .floats("kernel", &[3, 3, 3, 8], &kernel)
            .node(
                "conv",
                "Conv2D",
                &["x", "kernel"],
                &[
                    ("T", float),
                    ("strides", "list { i: 1 i: 1 i: 1 i: 1 }"),
                    ("padding", "s: \"VALID\""),
                ],
            )
            .float_op("relu", "Relu", &["conv"])
            .constant("axes", "DT_INT32", &[2], "int_val: 1 int_val: 2")
            .node(
                "mean",
                "Mean",
                &["relu", "axes"],
                &[
                    ("T", float),
                    ("Tidx", "type: DT_INT32"),
                    ("keep_dims", "b: false"),
                ],
            )
            .floats("product", &[8, 4], &product)
            .float_op("fc", "MatMul", &["mean", "product"])
            .float_op("y", "Softmax", &["fc"])
    }
}

/// A folder with a model and pictures for it, of the classes 0 to 3.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) model: PathBuf,
    pub(crate) images: PathBuf,
}

impl Place {
    pub(crate) fn new(graph: &Graph, count: usize) -> Self {
        let folder = folder();
        Self {
            model: graph.write(folder.path(), "toy.pbtxt"),
            images: pictures(&folder.path().join("images"), count, |index| index % 4),
            folder,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Writes `count` pictures of 8x8 pixels, `NN_CLASS.png`, where `class` says the class of each.
pub(crate) fn pictures(folder: &Path, count: usize, class: impl Fn(usize) -> usize) -> PathBuf {
    std::fs::create_dir_all(folder).expect("the folder is made");
    for index in 0..count {
        let values = noise(8 * 8 * 3 + 3, 77 + index as u32);
        let tint = &values[8 * 8 * 3..];
        let pixels = values[..8 * 8 * 3]
            .iter()
            .enumerate()
            .map(|(place, value)| {
                (128.0 + 150.0 * tint[place % 3] + 100.0 * value).clamp(0.0, 255.0) as u8
            });
        let pixels: Vec<u8> = pixels.collect();
        let name = format!("{index:02}_{}.png", class(index));
        std::fs::write(folder.join(name), png(8, 8, &pixels)).expect("the picture is written");
    }
    folder.into()
}

/// A PNG of RGB pixels, not compressed.
pub(crate) fn png(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    let mut rows = Vec::new();
    for row in pixels.chunks_exact(width as usize * 3) {
        rows.push(0);
        rows.extend_from_slice(row);
    }
    let length = u16::try_from(rows.len()).expect("a small picture");
    let mut data = vec![0x78, 0x01, 1];
    data.extend(length.to_le_bytes());
    data.extend((!length).to_le_bytes());
    data.extend_from_slice(&rows);
    data.extend(adler(&rows).to_be_bytes());
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, contents) in [(b"IHDR", header), (b"IDAT", data), (b"IEND", Vec::new())] {
        let length = u32::try_from(contents.len()).expect("a small picture");
        file.extend(length.to_be_bytes());
        let begin = file.len();
        file.extend(kind);
        file.extend(contents);
        file.extend(crc(&file[begin..]).to_be_bytes());
    }
    file
}

fn adler(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for &byte in bytes {
        a = (a + u32::from(byte)) % 65521;
        b = (b + a) % 65521;
    }
    (b << 16) | a
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}
