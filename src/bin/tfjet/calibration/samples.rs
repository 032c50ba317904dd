//! What a model is run on to see its numbers: images through the deployment's own pre-processing,
//! or arrays.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use tfjet::core::{InputSpec, Manifest, Tensor, TensorView};
use tfjet::exit::Usage;
use tfjet::runtime::{Outputs, read_npz};
use tfjet::video::{Frame, Preprocessor, Source, SourceOptions, VideoError};

use super::{Progress, parse_count};

/// Fewer samples than this say little about ranges.
pub(crate) const FEW: usize = 32;

/// Inputs that are kept in memory from one pass to the next.
const KEPT_BYTES: usize = 256 << 20;

/// Endings of image files.
const IMAGES: [&str; 3] = ["png", "jpg", "jpeg"];

/// What to run a model on.
#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Take this many of the files, evenly picked [default: all]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    samples: Option<usize>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct SourceArgs {
    /// Folder of PNG or JPEG images
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Folder of .npz files with arrays NAME or in:NAME, for models that take no single image
    #[arg(long, value_name = "DIR")]
    inputs: Option<PathBuf>,
}

impl SampleArgs {
    /// The samples that the flags name, as inputs of the model that `manifest` describes.
    ///
    /// # Errors
    /// Those of [`Samples::open`].
    pub(crate) fn open(&self, manifest: &Manifest) -> anyhow::Result<Samples> {
        let (folder, kind) = match (&self.source.images, &self.source.inputs) {
            (Some(folder), _) => (folder, SampleKind::Images),
            (None, Some(folder)) => (folder, SampleKind::Arrays),
            (None, None) => bail!(Usage("give --images or --inputs".into())),
        };
        Samples::open(folder, Some(kind), self.samples, manifest)
    }
}

/// The inputs that one file gives.
pub(crate) struct Sample<'a> {
    /// Number of the file.
    pub(crate) index: usize,
    /// Its name, without the folder.
    pub(crate) file: &'a str,
    pub(crate) inputs: &'a [TensorView<'a>],
}

/// Output `index` of a run as floats.
///
/// # Errors
/// Where there is none, or one of another type.
pub(crate) fn floats<'a>(outputs: &Outputs<'a>, index: usize) -> anyhow::Result<&'a [f32]> {
    let Some(output) = outputs.get(index) else {
        bail!("output {index} is missing");
    };
    output.as_slice().with_context(|| format!("output {index}"))
}

/// The files of a folder as inputs of a model, in order of their names.
pub(crate) struct Samples {
    folder: PathBuf,
    files: Vec<PathBuf>,
    found: usize,
    /// For each file why it cannot be read, once that is known.
    unreadable: Vec<Option<String>>,
    reader: Reader,
    kept: Vec<Option<Vec<Tensor>>>,
    kept_bytes: usize,
    current: Vec<Tensor>,
}

enum Reader {
    Images {
        preprocessor: Box<Preprocessor>,
        frame: Box<Frame>,
    },
    Arrays(Vec<InputSpec>),
}

/// What the files of a folder are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SampleKind {
    Images,
    Arrays,
}

/// A file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Unreadable {
    pub(crate) file: String,
    pub(crate) reason: String,
}

impl SampleKind {
    fn has(self, path: &Path) -> bool {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| match self {
            Self::Images => IMAGES.iter().any(|it| ending.eq_ignore_ascii_case(it)),
            Self::Arrays => ending == "npz",
        })
    }
}

impl fmt::Display for SampleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Images => "images",
            Self::Arrays => ".npz files",
        })
    }
}

/// What a folder holds.
#[derive(Default)]
struct Listing {
    images: Vec<PathBuf>,
    arrays: Vec<PathBuf>,
    folders: usize,
}

impl Listing {
    fn of(folder: &Path) -> anyhow::Result<Self> {
        let mut listing = Self::default();
        let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry.with_context(|| folder.display().to_string())?.path();
            if path.is_dir() {
                listing.folders += 1;
            } else if SampleKind::Images.has(&path) {
                listing.images.push(path);
            } else if SampleKind::Arrays.has(&path) {
                listing.arrays.push(path);
            }
        }
        listing.images.sort();
        listing.arrays.sort();
        Ok(listing)
    }
}

impl Samples {
    /// `limit` of the folder's files, evenly picked, as inputs of the model that `manifest`
    /// describes. Without a kind the folder says what it holds.
    ///
    /// # Errors
    /// A folder without such files, and a model that takes no single image where they are images.
    pub(crate) fn open(
        folder: &Path,
        kind: Option<SampleKind>,
        limit: Option<usize>,
        manifest: &Manifest,
    ) -> anyhow::Result<Self> {
        let listing = Listing::of(folder)?;
        let kind = kind.unwrap_or(
            match listing.images.is_empty() && !listing.arrays.is_empty() {
                true => SampleKind::Arrays,
                false => SampleKind::Images,
            },
        );
        let (all, other) = match kind {
            SampleKind::Images => (listing.images, listing.arrays.len()),
            SampleKind::Arrays => (listing.arrays, listing.images.len()),
        };
        if all.is_empty() {
            let what = match kind {
                SampleKind::Images => "no PNG or JPEG file",
                SampleKind::Arrays => "no .npz file",
            };
            let hint = match (kind, other, listing.folders) {
                (SampleKind::Images, 1.., _) => "; it has .npz files: use --inputs".to_owned(),
                (SampleKind::Arrays, 1.., _) => "; it has images: use --images".to_owned(),
                (_, _, 0) => String::new(),
                (_, _, folders) => format!("; its {folders} folders are not looked into"),
            };
            bail!("{}: {what}{hint}", folder.display());
        }
        let reader = match kind {
            SampleKind::Images => Reader::images(manifest)?,
            SampleKind::Arrays => Reader::Arrays(manifest.inputs.clone()),
        };
        let found = all.len();
        let files = pick(all, limit.unwrap_or(usize::MAX));
        Ok(Self {
            folder: folder.into(),
            unreadable: vec![None; files.len()],
            kept: vec![None; files.len()],
            kept_bytes: 0,
            current: Vec::new(),
            files,
            found,
            reader,
        })
    }

    /// Number of files, those that cannot be read among them.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Files of the folder, from which [`Samples::len`] were picked.
    pub(crate) fn found(&self) -> usize {
        self.found
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Name of file `index`, without its folder.
    pub(crate) fn name(&self, index: usize) -> String {
        let name = self.files.get(index).and_then(|path| path.file_name());
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// Numbers of `count` files, evenly picked.
    pub(crate) fn some(&self, count: usize) -> Vec<usize> {
        pick((0..self.files.len()).collect(), count)
    }

    /// The model's inputs from file `index`; `None` where it cannot be read.
    ///
    /// # Errors
    /// Where the folder as a whole does not fit the model: an array of another name.
    pub(crate) fn read(&mut self, index: usize) -> anyhow::Result<Option<&[Tensor]>> {
        let Some(path) = self.files.get(index) else {
            return Ok(None);
        };
        if self.unreadable[index].is_some() {
            return Ok(None);
        }
        if self.kept[index].is_some() {
            return Ok(self.kept[index].as_deref());
        }
        let inputs = match &mut self.reader {
            Reader::Images {
                preprocessor,
                frame,
            } => {
                let mut input = Tensor::default();
                let read =
                    read_image(path, frame).and_then(|()| preprocessor.run(frame, &mut input));
                read.map(|_| vec![input]).map_err(|error| error.to_string())
            }
            Reader::Arrays(specs) => match read_npz(path) {
                Ok(arrays) => Ok(tfjet::arrays::inputs(specs, arrays)
                    .with_context(|| path.display().to_string())?),
                Err(error) => Err(error.to_string()),
            },
        };
        match inputs {
            Err(reason) => {
                tracing::warn!("left out: {reason}");
                self.unreadable[index] = Some(reason);
                Ok(None)
            }
            Ok(inputs) => {
                let bytes: usize = inputs.iter().map(|input| input.bytes().len()).sum();
                if self.kept_bytes + bytes <= KEPT_BYTES {
                    self.kept_bytes += bytes;
                    self.kept[index] = Some(inputs);
                    return Ok(self.kept[index].as_deref());
                }
                self.current = inputs;
                Ok(Some(&self.current))
            }
        }
    }

    /// Gives the files of these numbers to `take`, one after the other, but for those that cannot be
    /// read. `what` names the work in a line that says how far it is.
    ///
    /// # Errors
    /// Those of [`Samples::read`]; those of `take`, with the name of the file.
    pub(crate) fn each(
        &mut self,
        what: Option<&str>,
        files: impl ExactSizeIterator<Item = usize>,
        mut take: impl FnMut(Sample<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut progress = what.map(|what| Progress::new(what, files.len()));
        for (done, index) in (1..).zip(files) {
            let file = self.name(index);
            if let Some(inputs) = self.read(index)? {
                let inputs: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
                take(Sample {
                    index,
                    file: &file,
                    inputs: &inputs,
                })
                .with_context(|| file.clone())?;
            }
            if let Some(progress) = &mut progress {
                progress.show(done);
            }
        }
        Ok(())
    }

    /// The files that could not be read so far.
    pub(crate) fn unreadable(&self) -> Vec<Unreadable> {
        let known = self.unreadable.iter().enumerate();
        known
            .filter_map(|(index, reason)| {
                Some(Unreadable {
                    file: self.name(index),
                    reason: reason.clone()?,
                })
            })
            .collect()
    }

    /// After a pass: how many samples there were.
    ///
    /// # Errors
    /// Where none could be read.
    pub(crate) fn check_any(&self) -> anyhow::Result<usize> {
        let bad = self.unreadable.iter().flatten();
        match (self.files.len() - bad.clone().count(), bad.clone().next()) {
            (0, Some(reason)) => bail!(
                "{}: none of its {} files can be read: {reason}",
                self.folder.display(),
                self.files.len()
            ),
            (left, _) => Ok(left),
        }
    }
}

impl Reader {
    fn images(manifest: &Manifest) -> anyhow::Result<Self> {
        match (&manifest.preprocess, manifest.inputs.as_slice()) {
            (Some(preprocess), [input]) => Ok(Self::Images {
                preprocessor: Box::new(Preprocessor::new(preprocess, input.dtype)?),
                frame: Box::new(Frame::new()),
            }),
            (None, [_]) => bail!(Usage(format!(
                "`{}` says no way from an image to its input: give --image-size, or arrays as \
                 .npz files",
                manifest.model
            ))),
            (_, inputs) => {
                let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
                bail!(Usage(format!(
                    "`{}` has {} inputs ({}), not one image: give arrays as .npz files",
                    manifest.model,
                    inputs.len(),
                    names.join(", ")
                )))
            }
        }
    }
}

fn read_image(path: &Path, frame: &mut Frame) -> Result<(), VideoError> {
    let text = path.to_string_lossy();
    let mut source = Source::open(&SourceOptions::new(text.clone()))?;
    match source.next_frame(frame)? {
        true => Ok(()),
        false => Err(VideoError::NoFrames(text.into_owned())),
    }
}

/// `count` of all, evenly spread, the first always among them.
fn pick<T>(all: Vec<T>, count: usize) -> Vec<T> {
    let total = all.len();
    if count >= total {
        return all;
    }
    let mut next = 0;
    all.into_iter()
        .enumerate()
        .filter(|(index, _)| {
            let wanted = next < count && *index == next * total / count;
            next += usize::from(wanted);
            wanted
        })
        .map(|(_, item)| item)
        .collect()
}

#[cfg(test)]
mod tests;
