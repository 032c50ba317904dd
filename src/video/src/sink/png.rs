use std::{
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use image::{
    ExtendedColorType, ImageEncoder,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};

use super::{
    Sink,
    output::{Closed, Output},
};
use crate::{Frame, Results, VideoError};

/// A PNG for each frame.
#[derive(Debug)]
pub(super) struct PngFolder {
    folder: PathBuf,
    /// Did this run make the folder?
    made: bool,
    written: Vec<Closed>,
}

impl PngFolder {
    pub(super) fn open(folder: &Path) -> Result<Self, VideoError> {
        let made = !folder.exists();
        fs::create_dir_all(folder).map_err(|error| VideoError::write(folder, error))?;
        Ok(Self {
            folder: folder.to_owned(),
            made,
            written: Vec::new(),
        })
    }

    fn path(&self, index: u64) -> PathBuf {
        self.folder.join(format!("frame_{index:06}.png"))
    }
}

impl Sink for PngFolder {
    fn needs_overlay(&self, _: u64) -> bool {
        true
    }

    fn write(&mut self, frame: &Frame, _: &Results) -> Result<(), VideoError> {
        let mut output = Output::create(&self.path(frame.index))?;
        encode(&mut output, frame)?;
        self.written.push(output.close()?);
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> Result<(), VideoError> {
        self.made = false;
        self.written.drain(..).try_for_each(Closed::commit)
    }
}

impl Drop for PngFolder {
    fn drop(&mut self) {
        self.written.clear();
        if self.made {
            // A folder that others use meanwhile stays.
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// One frame as a PNG.
#[derive(Debug)]
pub(super) struct Png {
    index: u64,
    output: Output,
    frames: u64,
    done: bool,
}

impl Png {
    pub(super) fn open(path: &Path, index: u64) -> Result<Self, VideoError> {
        Ok(Self {
            index,
            output: Output::create(path)?,
            frames: 0,
            done: false,
        })
    }
}

impl Sink for Png {
    fn needs_overlay(&self, index: u64) -> bool {
        index == self.index
    }

    fn write(&mut self, frame: &Frame, _: &Results) -> Result<(), VideoError> {
        self.frames = frame.index + 1;
        if frame.index == self.index {
            encode(&mut self.output, frame)?;
            self.done = true;
        }
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), VideoError> {
        self.output.commit()
    }

    fn complete(&mut self) -> Result<(), VideoError> {
        if self.done {
            return Ok(());
        }
        let reason = format!(
            "frame {} was asked for, but there were only {}",
            self.index, self.frames
        );
        Err(VideoError::image(self.output.path(), reason))
    }
}

fn encode(output: &mut Output, frame: &Frame) -> Result<(), VideoError> {
    let path = output.path().to_owned();
    let mut writer = BufWriter::new(output.file());
    PngEncoder::new_with_quality(&mut writer, CompressionType::Fast, FilterType::Adaptive)
        .write_image(
            frame.pixels(),
            frame.width() as u32,
            frame.height() as u32,
            ExtendedColorType::Rgb8,
        )
        .map_err(|error| VideoError::image(&path, error))?;
    writer
        .flush()
        .map_err(|error| VideoError::write(path, error))
}
