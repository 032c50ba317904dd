use std::{
    fs::{self, File},
    io::{BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use image::{ImageFormat, ImageReader};

use super::spec::is_image;
use crate::{Frame, VideoError};

/// One image file, or the image files of a folder in order of their names.
#[derive(Debug)]
pub(super) struct Images {
    paths: std::vec::IntoIter<PathBuf>,
    index: u64,
}

impl Images {
    pub(super) fn open(path: &Path) -> Result<Self, VideoError> {
        let read = |error| VideoError::read(path, error);
        let mut paths = Vec::new();
        if fs::metadata(path).map_err(read)?.is_dir() {
            for entry in fs::read_dir(path).map_err(read)? {
                let entry = entry.map_err(read)?.path();
                if is_image(&entry) && entry.is_file() {
                    paths.push(entry);
                }
            }
            paths.sort();
            if paths.is_empty() {
                return Err(VideoError::NoFrames(format!(
                    "{}: no PNG or JPEG file",
                    path.display()
                )));
            }
        } else {
            paths.push(path.to_owned());
        }
        Ok(Self {
            paths: paths.into_iter(),
            index: 0,
        })
    }

    pub(super) fn next_frame(&mut self, frame: &mut Frame) -> Result<bool, VideoError> {
        let Some(path) = self.paths.next() else {
            return Ok(false);
        };
        frame.index = self.index;
        frame.pts_ns = None;
        read_image(&path, frame)?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        frame.set_name(&name.to_string_lossy());
        self.index += 1;
        Ok(true)
    }
}

fn read_image(path: &Path, frame: &mut Frame) -> Result<(), VideoError> {
    let read = |error| VideoError::read(path, error);
    let mut file = File::open(path).map_err(read)?;
    let reader = ImageReader::new(BufReader::new(&mut file))
        .with_guessed_format()
        .map_err(read)?;
    let jpeg = reader.format() == Some(ImageFormat::Jpeg);
    let image = reader
        .decode()
        .map_err(|error| VideoError::image(path, error))?
        .into_rgb8();
    if jpeg && !ends_as_jpeg(&mut file).map_err(read)? {
        return Err(VideoError::image(path, "the JPEG data end too early"));
    }
    let pixels = frame.reset(image.width() as usize, image.height() as usize)?;
    pixels.copy_from_slice(image.as_raw());
    Ok(())
}

/// Is there an end-of-image marker near the end of the file? The decoder fills what a truncated
/// file lacks with grey.
fn ends_as_jpeg(file: &mut File) -> std::io::Result<bool> {
    const TAIL: u64 = 64 * 1024;
    let len = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    Ok(tail.windows(2).any(|pair| pair == [0xff, 0xd9]))
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    fn save(path: &Path, width: u32, height: u32) {
        let image = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 77]));
        image.save(path).unwrap();
    }

    #[test]
    fn reads_a_folder_in_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        save(&folder.path().join("b.png"), 5, 4);
        save(&folder.path().join("a.jpg"), 16, 8);
        save(&folder.path().join("c.PNG"), 2, 2);
        fs::write(folder.path().join("notes.txt"), "x").unwrap();
        let mut images = Images::open(folder.path()).unwrap();
        let mut frame = Frame::new();
        let mut seen = Vec::new();
        while images.next_frame(&mut frame).unwrap() {
            let name = frame.name().unwrap().to_owned();
            seen.push((frame.index, name, frame.width(), frame.height()));
        }
        assert_eq!(
            seen,
            [
                (0, "a.jpg".into(), 16, 8),
                (1, "b.png".into(), 5, 4),
                (2, "c.PNG".into(), 2, 2)
            ]
        );
        assert_eq!(frame.pixels(), [0, 0, 77, 1, 0, 77, 0, 1, 77, 1, 1, 77]);
    }

    #[test]
    fn truncated_images_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "a.png"] {
            let path = folder.path().join(name);
            save(&path, 200, 150);
            let bytes = fs::read(&path).unwrap();
            for len in [0, 10, bytes.len() / 2, bytes.len() - 20] {
                fs::write(&path, &bytes[..len]).unwrap();
                let mut images = Images::open(&path).unwrap();
                let error = images
                    .next_frame(&mut Frame::new())
                    .unwrap_err()
                    .to_string();
                assert!(
                    error.contains(name) && !error.contains('\n'),
                    "{len}: {error}"
                );
            }
        }
    }

    #[test]
    fn empty_folders_and_missing_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            Images::open(folder.path()),
            Err(VideoError::NoFrames(_))
        ));
        let missing = Images::open(&folder.path().join("a.png"));
        assert!(matches!(missing, Err(VideoError::Read { .. })));
    }
}
