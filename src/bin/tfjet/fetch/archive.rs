use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::FetchError;
use super::client;
use super::manifest::FileSpec;

/// SHA-256 of a file, in lower-case hex.
pub(super) fn sha256_of(path: &Path) -> Result<String, FetchError> {
    let mut file = File::open(path).map_err(FetchError::at(path))?;
    let mut hasher = Sha256::new();
    copy(&mut file, |block| {
        hasher.update(block);
        Ok(())
    })
    .map_err(FetchError::at(path))?;
    Ok(hex(hasher))
}

/// Takes `files` out of a package's archive (`.tgz`, `.tar.gz`, `.whl`, `.deb`) into directory
/// `to`, each checked against its length and hash.
pub(super) fn extract(archive: &Path, files: &[&FileSpec], to: &Path) -> Result<(), FetchError> {
    let name = file_name(archive);
    let open = || File::open(archive).map_err(FetchError::at(archive));
    let mut extraction = Extraction {
        archive: name.clone(),
        missing: files.to_vec(),
        to,
    };
    if name.ends_with(".whl") {
        extraction.zip(open()?)?;
    } else if name.ends_with(".deb") {
        let mut command = Command::new("dpkg-deb");
        command.arg("--fsys-tarfile").arg(archive);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| client::spawn_error("dpkg-deb", "dpkg", error))?;
        let result = match child.stdout.take() {
            Some(stdout) => extraction.tar(stdout),
            None => Ok(()),
        };
        // It may still have bytes to write that nobody wants.
        let _ = child.kill();
        let _ = child.wait();
        result?;
    } else {
        extraction.tar(GzDecoder::new(open()?))?;
    }
    match extraction.missing.first() {
        None => Ok(()),
        Some(file) => Err(FetchError::NotInArchive {
            archive: name,
            path: file.path.clone(),
        }),
    }
}

/// Last component of a path, for messages.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

struct Extraction<'a> {
    archive: String,
    missing: Vec<&'a FileSpec>,
    to: &'a Path,
}

impl<'a> Extraction<'a> {
    fn fail(&self, source: io::Error) -> FetchError {
        FetchError::Archive {
            archive: self.archive.clone(),
            source,
        }
    }

    /// The file that is wanted from `path` of the archive, and whether it lies there compressed.
    fn wanted(&mut self, path: &str) -> Option<(&'a FileSpec, bool)> {
        let path = path.strip_prefix("./").unwrap_or(path);
        let place = self.missing.iter().position(|file| {
            path.strip_prefix(&file.path)
                .is_some_and(|rest| rest.is_empty() || rest == ".gz")
        })?;
        let file = self.missing.remove(place);
        Some((file, path.len() != file.path.len()))
    }

    fn tar(&mut self, reader: impl Read) -> Result<(), FetchError> {
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries().map_err(|error| self.fail(error))? {
            if self.missing.is_empty() {
                break;
            }
            let entry = entry.map_err(|error| self.fail(error))?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if let Some((file, compressed)) = self.wanted(&path) {
                self.write(file, compressed, entry)?;
            }
        }
        Ok(())
    }

    fn zip(&mut self, reader: File) -> Result<(), FetchError> {
        let mut archive = zip::ZipArchive::new(reader).map_err(|error| self.fail(error.into()))?;
        for index in 0..archive.len() {
            let entry = archive
                .by_index(index)
                .map_err(|error| self.fail(error.into()))?;
            let name = entry.name().map_err(|error| self.fail(error.into()))?;
            if let Some((file, compressed)) = self.wanted(&name) {
                self.write(file, compressed, entry)?;
            }
        }
        Ok(())
    }

    fn write(&self, file: &FileSpec, gz: bool, from: impl Read) -> Result<(), FetchError> {
        // One byte more than expected shows that the file is longer, without unpacking it all.
        let limit = file.bytes.saturating_add(1);
        let mut from: Box<dyn Read + '_> = if gz {
            Box::new(GzDecoder::new(from).take(limit))
        } else {
            Box::new(from.take(limit))
        };
        let path = self.to.join(file.name());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(FetchError::at(folder))?;
        }
        let mut to = File::create(&path).map_err(FetchError::at(&path))?;
        let mut hasher = Sha256::new();
        let mut bytes = 0u64;
        copy(&mut from, |block| {
            bytes = bytes.saturating_add(block.len() as u64);
            hasher.update(block);
            to.write_all(block)
        })
        .map_err(|error| self.fail(error))?;
        to.sync_all().map_err(FetchError::at(&path))?;
        check(
            &file.path,
            (file.bytes, &file.sha256),
            (bytes, &hex(hasher)),
        )
    }
}

/// Compares length and hash of `file`.
pub(super) fn check(
    file: &str,
    expected: (u64, &str),
    found: (u64, &str),
) -> Result<(), FetchError> {
    let wrong = |expected: String, found: String| FetchError::WrongHash {
        file: file.into(),
        expected,
        found,
    };
    if found.0 > expected.0 {
        Err(wrong(format!("{} bytes", expected.0), "more".into()))
    } else if found.0 < expected.0 {
        Err(wrong(format!("{} bytes", expected.0), found.0.to_string()))
    } else if found.1 != expected.1 {
        Err(wrong(format!("sha256 {}", expected.1), found.1.into()))
    } else {
        Ok(())
    }
}

fn copy(from: &mut dyn Read, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut block = vec![0; 1 << 16];
    loop {
        match from.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(len) => to(&block[..len])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hex(hasher: Sha256) -> String {
    let digest = hasher.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    // Of the five bytes "hello".
    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn spec(path: &str, bytes: u64, sha256: &str) -> FileSpec {
        toml::from_str(&format!(
            "path = '{path}'\nbytes = {bytes}\nsha256 = '{sha256}'"
        ))
        .unwrap()
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn tgz(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append_data(&mut header, path, *bytes).unwrap();
        }
        gzipped(&builder.into_inner().unwrap())
    }

    fn extracted(archive: &[u8], files: &[FileSpec]) -> Result<Vec<Vec<u8>>, FetchError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("package.tgz");
        std::fs::write(&path, archive).unwrap();
        extract(&path, &files.iter().collect::<Vec<_>>(), dir.path())?;
        let read = |file: &FileSpec| std::fs::read(dir.path().join(file.name())).unwrap();
        Ok(files.iter().map(read).collect())
    }

    #[test]
    fn takes_only_the_named_files_compressed_or_not() {
        let packed = gzipped(b"hello");
        let archive = tgz(&[
            ("p/a", b"hello"),
            ("p/aa", b"no"),
            ("p/b.gz", packed.as_slice()),
        ]);
        let files = [spec("p/a", 5, HELLO), spec("p/b", 5, HELLO)];
        assert_eq!(extracted(&archive, &files).unwrap(), [b"hello", b"hello"]);
    }

    #[test]
    fn wrong_bytes_are_named_with_what_was_expected() {
        for (content, expected) in [
            (&b"hullo"[..], "p/a: expected sha256 2cf24dba"),
            (b"hello!", "p/a: expected 5 bytes, found more"),
            (b"hell", "p/a: expected 5 bytes, found 4"),
        ] {
            let files = [spec("p/a", 5, HELLO)];
            let error = extracted(&tgz(&[("p/a", content)]), &files).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
            assert_eq!(error.exit_code(), 3);
        }
    }

    #[test]
    fn an_absent_file_and_a_cut_archive_are_errors() {
        let archive = tgz(&[("p/a", b"hello")]);
        let absent = extracted(&archive, &[spec("p/c", 5, HELLO)]).unwrap_err();
        assert_eq!(absent.to_string(), "archive package.tgz holds no p/c");
        let cut = extracted(&archive[..20], &[spec("p/a", 5, HELLO)]).unwrap_err();
        assert!(
            cut.to_string().starts_with("archive package.tgz: "),
            "{cut}"
        );
    }
}
