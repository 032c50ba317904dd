use std::{
    fs::{File, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

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
        let Self { file, path } = self;
        let fail = |error| VideoError::write(&path, error);
        file.as_file().sync_all().map_err(fail)?;
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
