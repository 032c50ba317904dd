use std::{
    fs::{File, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::{NamedTempFile, TempPath};

use crate::VideoError;

/// A file under a temporary name beside its final one. Dropped without [`Output::commit`], it is
/// removed.
#[derive(Debug)]
pub(super) struct Output {
    file: NamedTempFile,
    path: PathBuf,
}

impl Output {
    pub(super) fn create(path: &Path) -> Result<Self, VideoError> {
        let fail = |error| VideoError::write(path, error);
        if path.is_dir() {
            return Err(fail(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let name = path
            .file_name()
            .ok_or_else(|| fail(io::Error::from(io::ErrorKind::InvalidInput)))?;
        let file = tempfile::Builder::new()
            .prefix(&format!(".{}.", name.to_string_lossy()))
            .suffix(".part")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder(path))
            .map_err(fail)?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Where the bytes go meanwhile.
    #[cfg(feature = "gstreamer")]
    pub(super) fn temporary(&self) -> &Path {
        self.file.path()
    }

    /// The final name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Syncs the file and gives it its final name.
    pub(super) fn commit(self) -> Result<(), VideoError> {
        self.close()?.commit()
    }

    /// Syncs and closes the file, for outputs of many files.
    pub(super) fn close(self) -> Result<Closed, VideoError> {
        let Self { file, path } = self;
        file.as_file()
            .sync_all()
            .map_err(|error| VideoError::write(&path, error))?;
        Ok(Closed {
            file: file.into_temp_path(),
            path,
        })
    }
}

/// A whole file under its temporary name; removed where it is dropped.
#[derive(Debug)]
pub(super) struct Closed {
    file: TempPath,
    path: PathBuf,
}

impl Closed {
    /// Renames the file to its final name.
    pub(super) fn commit(self) -> Result<(), VideoError> {
        let Self { file, path } = self;
        let fail = |error| VideoError::write(&path, error);
        file.persist(&path).map_err(|error| fail(error.error))?;
        File::open(folder(&path))
            .and_then(|folder| folder.sync_all())
            .map_err(fail)
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
