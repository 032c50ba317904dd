use std::io;
use std::path::{Path, PathBuf};

use tfjet_core::Shape;
use tfjet_runtime::{NpzError, read_npz};
use tfjet_video::{Preprocessor, VideoError};

use crate::arrays::plain;
use crate::shapes::{Interface, ShapeSet};

/// Endings of images.
const IMAGES: [&str; 3] = ["png", "jpg", "jpeg"];

/// Why a folder of sample inputs cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The folder cannot be read.
    #[error("{}: {source}", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("{}: no .npz file and no image to take shapes from", dir.display())]
    Empty {
        /// The folder.
        dir: PathBuf,
    },
    /// A file holds no arrays that can be read.
    #[error(transparent)]
    Npz(#[from] NpzError),
    /// An array is missing.
    #[error(
        "{}: no array `{name}` or `in:{name}` for the model's input, whose sizes are open",
        file.display()
    )]
    Missing {
        /// The file.
        file: PathBuf,
        /// The input.
        name: String,
    },
    /// An array has no elements.
    #[error("{}: `{name}` is {shape:?}: no engine takes a size of 0", file.display())]
    NoElements {
        /// The file.
        file: PathBuf,
        /// The array.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// The bundle does not say how an image becomes an input.
    #[error(
        "{}: the bundle says no way from an image to its inputs: convert it with --image-size, or \
         give .npz files",
        file.display()
    )]
    NoPreprocess {
        /// The file.
        file: PathBuf,
    },
    /// The bundle's way from an image to an input does not fit the input.
    #[error(transparent)]
    Preprocess(#[from] VideoError),
}

/// The shapes of all sample inputs in a folder, in the order of their files' names: of each `.npz`
/// file those of its arrays, which are named as an input of the model or a tensor that goes into a
/// segment (others are passed over), and of each image that of the input that the bundle makes of
/// any image. `given` says which tensors have their shape from elsewhere.
///
/// # Errors
/// [`SampleError`] naming the file.
pub fn samples(
    interface: &Interface<'_>,
    dir: &Path,
    given: impl Fn(&str) -> bool,
) -> Result<Vec<ShapeSet>, SampleError> {
    let mut found = Vec::new();
    for file in files(dir)? {
        let ending = file.extension().and_then(|ending| ending.to_str());
        let ending = ending.unwrap_or_default().to_ascii_lowercase();
        let set = match ending.as_str() {
            "npz" => of_arrays(interface, &file)?,
            ending if IMAGES.contains(&ending) => of_image(interface, &file)?,
            _ => continue,
        };
        let open = interface.manifest().inputs.iter().filter(|input| {
            let shape = input.shape.as_ref();
            shape.is_some_and(|shape| shape.as_fixed().is_none())
        });
        let mut missing = open.filter(|input| !set.names(&input.name) && !given(&input.name));
        if let Some(input) = missing.next() {
            let name = input.name.clone();
            return Err(SampleError::Missing { file, name });
        }
        found.push(set);
    }
    match found.is_empty() {
        true => Err(SampleError::Empty { dir: dir.into() }),
        false => Ok(found),
    }
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, SampleError> {
    let entries = std::fs::read_dir(dir).and_then(|entries| {
        let paths = entries.map(|entry| Ok(entry?.path()));
        paths.collect::<io::Result<Vec<PathBuf>>>()
    });
    let mut paths = entries.map_err(|source| SampleError::Folder {
        dir: dir.into(),
        source,
    })?;
    paths.retain(|path| path.is_file());
    paths.sort();
    Ok(paths)
}

fn of_arrays(interface: &Interface<'_>, file: &Path) -> Result<ShapeSet, SampleError> {
    let mut set = ShapeSet::default();
    for (name, array) in read_npz(file)? {
        let name = name.strip_prefix("in:").unwrap_or(&name);
        if interface.shape(name).is_none() {
            continue;
        }
        if array.shape().contains(&0) {
            return Err(SampleError::NoElements {
                file: file.into(),
                name: name.into(),
                shape: array.shape().to_vec(),
            });
        }
        let by = format!("{}: {}", file.display(), plain(name));
        set.add_shape(name, array.shape(), &by);
    }
    Ok(set)
}

fn of_image(interface: &Interface<'_>, file: &Path) -> Result<ShapeSet, SampleError> {
    let manifest = interface.manifest();
    let preprocess = manifest.preprocess.as_ref();
    let input = preprocess.and_then(|it| Some((it, manifest.inputs.get(it.input)?)));
    let Some((preprocess, input)) = input else {
        return Err(SampleError::NoPreprocess { file: file.into() });
    };
    let mut set = ShapeSet::default();
    if input
        .shape
        .as_ref()
        .is_some_and(|it| Shape::as_fixed(it).is_none())
    {
        let made = Preprocessor::new(preprocess, input.dtype)?;
        set.add_shape(&input.name, made.shape(), &file.display().to_string());
    }
    Ok(set)
}
