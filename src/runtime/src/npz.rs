//! Tensors in NumPy's files: `.npz` archives, and single `.npy` arrays to read.

mod npy;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use tfjet_bundle::replace_file;
use tfjet_core::{DType, Tensor, TensorError, TensorView};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Why a NumPy file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpzError {
    /// The system refused.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// Path.
        file: String,
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is no zip archive, or a damaged one.
    #[error("{file} is not a NumPy .npz or .npy file: {reason}")]
    Archive {
        /// Path.
        file: String,
        /// What the archive reader says.
        reason: String,
    },
    /// One array is damaged, or cannot be written.
    #[error("{file}: array `{array}`: {problem}")]
    Array {
        /// Path.
        file: String,
        /// Name of the array, without `.npy`.
        array: String,
        /// What is wrong.
        problem: ArrayProblem,
    },
}

/// What is wrong with one array.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArrayProblem {
    /// The first bytes are not those of an `.npy` file.
    #[error("it does not start as an .npy file does")]
    Magic,
    /// The `.npy` format has a version that is not read.
    #[error(".npy format version {0}.{1}, 1.0 to 3.0 are read")]
    Version(u8, u8),
    /// The header is cut off, too long, or no dictionary of type, order and shape.
    #[error("its header is malformed: {0}")]
    Header(&'static str),
    /// The shape does not fit the address space.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The elements are fewer or more than the shape takes.
    #[error("its shape {shape:?} of {dtype} takes {expected} bytes, the file has {}",
        if *more { "more".to_owned() } else { found.to_string() })]
    Length {
        /// Shape in the header.
        shape: Vec<usize>,
        /// Element type in the header.
        dtype: DType,
        /// Bytes that they take.
        expected: usize,
        /// Bytes read.
        found: usize,
        /// Are there more than were read?
        more: bool,
    },
    /// Reading its bytes failed: damaged contents, or the system refused.
    #[error("cannot read: {0}")]
    Read(io::Error),
    /// Damaged, encrypted, or compressed in a way that NumPy does not use.
    #[error("cannot unpack: {0}")]
    Unpack(String),
    /// A type that NumPy has not.
    #[error("NumPy has no {0}; cast it to float32")]
    DType(DType),
    /// More dimensions than NumPy knows.
    #[error("{0} dims, NumPy knows at most 64")]
    Rank(usize),
    /// Two arrays of one name, or a name that cannot stand in an archive.
    #[error("cannot pack: {0}")]
    Pack(String),
}

/// What a file's entry is instead of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Skipped {
    name: String,
    what: String,
}

/// The arrays of an `.npz` file in its order, or the one array of an `.npy` file under the file's
/// name without extension.
///
/// Fortran order becomes C order and big-endian becomes little-endian. Arrays of types that no
/// tensor holds (text, objects, records) and entries that are no arrays are left
/// out with a warning that names them. Memory grows with the data that is there, not with what a
/// header claims.
///
/// # Errors
/// Where the file cannot be read, is neither `.npz` nor `.npy`, or an array in it is damaged.
pub fn read_npz(path: &Path) -> Result<Vec<(String, Tensor)>, NpzError> {
    let file = path.display().to_string();
    let (arrays, skipped) = File::open(path)
        .map_err(|source| NpzError::Io {
            file: file.clone(),
            action: "open",
            source,
        })
        .and_then(|opened| {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            read(BufReader::new(opened), &file, &stem)
        })?;
    for Skipped { name, what } in skipped {
        tracing::info!(file, name, "left out: {what}");
    }
    Ok(arrays)
}

type Arrays = (Vec<(String, Tensor)>, Vec<Skipped>);

fn read(mut input: impl Read + Seek, file: &str, stem: &str) -> Result<Arrays, NpzError> {
    let io = |source| NpzError::Io {
        file: file.into(),
        action: "read",
        source,
    };
    let mut first = Vec::with_capacity(npy::MAGIC.len());
    (&mut input)
        .take(npy::MAGIC.len() as u64)
        .read_to_end(&mut first)
        .map_err(io)?;
    input.seek(SeekFrom::Start(0)).map_err(io)?;
    if first == npy::MAGIC {
        let mut arrays = Arrays::default();
        add(&mut arrays, file, stem.into(), npy::read(input))?;
        return Ok(arrays);
    }
    let not_an_archive = |error: ZipError| NpzError::Archive {
        file: file.into(),
        reason: match first.is_empty() {
            true => "it is empty".into(),
            false => reason(error),
        },
    };
    let mut archive = ZipArchive::new(input).map_err(not_an_archive)?;
    let mut arrays = Arrays::default();
    for index in 0..archive.len() {
        let entry = archive.by_index(index);
        let name = match &entry {
            Ok(entry) => entry.name().map(|name| name.into_owned()),
            Err(_) => Ok(format!("entry {index}")),
        };
        let name = name.map_err(not_an_archive)?;
        let array = match (entry, name.strip_suffix(".npy")) {
            (Err(error), _) => Err(ArrayProblem::Unpack(reason(error))),
            (Ok(entry), Some(_)) => npy::read(entry),
            (Ok(_), None) => {
                let what = "not an .npy file".into();
                arrays.1.push(Skipped { name, what });
                continue;
            }
        };
        let name = name.strip_suffix(".npy").unwrap_or(&name).to_owned();
        add(&mut arrays, file, name, array)?;
    }
    Ok(arrays)
}

fn add(
    (arrays, skipped): &mut Arrays,
    file: &str,
    name: String,
    array: Result<npy::Array, ArrayProblem>,
) -> Result<(), NpzError> {
    match array {
        Ok(npy::Array::Tensor(tensor)) => arrays.push((name, tensor)),
        Ok(npy::Array::Foreign(descr)) => skipped.push(Skipped {
            name,
            what: format!("no tensor holds elements of NumPy's type {descr}"),
        }),
        Err(problem) => {
            return Err(NpzError::Array {
                file: file.into(),
                array: name,
                problem,
            });
        }
    }
    Ok(())
}

/// Writes an `.npz` file as `numpy.savez` does, uncompressed. The same arrays give the same bytes.
/// `path` holds the old file or the whole new one, never a part.
///
/// # Errors
/// Where the file cannot be written, two arrays have one name, or one is of a type that NumPy has
/// not (bfloat16).
pub fn write_npz(path: &Path, arrays: &[(String, TensorView<'_>)]) -> Result<(), NpzError> {
    let written = replace_file(path, |output| {
        let mut archive = ZipWriter::new(output);
        for (name, view) in arrays {
            write_array(&mut archive, name, view)?;
        }
        let output = archive.finish().map_err(io::Error::from)?;
        Ok(output.flush()?)
    });
    let file = path.display().to_string();
    written.map_err(|failure| match failure {
        WriteFailure::System(source) => NpzError::Io {
            file,
            action: "write",
            source,
        },
        WriteFailure::Array(array, problem) => NpzError::Array {
            file,
            array,
            problem,
        },
    })
}

enum WriteFailure {
    System(io::Error),
    Array(String, ArrayProblem),
}

impl From<io::Error> for WriteFailure {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

fn write_array(
    archive: &mut ZipWriter<impl Write + Seek>,
    name: &str,
    view: &TensorView<'_>,
) -> Result<(), WriteFailure> {
    let refuse = |problem| WriteFailure::Array(name.into(), problem);
    let header = npy::header(view).map_err(refuse)?;
    let is_large = header.len() + view.bytes().len() >= u32::MAX as usize;
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .large_file(is_large);
    archive
        .start_file(format!("{name}.npy"), options)
        .map_err(|error| match error {
            ZipError::Io(error) => WriteFailure::System(error),
            error => refuse(ArrayProblem::Pack(reason(error))),
        })?;
    archive.write_all(&header)?;
    Ok(archive.write_all(view.bytes())?)
}

/// The archive reader's words, on one line.
fn reason(error: ZipError) -> String {
    error.to_string().replace('\n', " ")
}

#[cfg(test)]
mod tests;
