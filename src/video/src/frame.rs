use crate::VideoError;

/// Bytes of one pixel.
pub(crate) const CHANNELS: usize = 3;

/// Largest width or height of a frame, so that sizes in bytes stay far below the address space.
const MAX_SIDE: usize = 1 << 15;

/// One image: RGB, 8 bits a channel, rows packed (`width * 3` bytes each).
///
/// A frame is meant to be filled again and again by [`crate::Source::next_frame`]; its buffer is
/// kept.
#[derive(Debug, Default)]
pub struct Frame {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    #[cfg(feature = "gstreamer")]
    mapped: Option<gstreamer::MappedBuffer<gstreamer::buffer::Readable>>,
    name: String,
    /// Presentation time in nanoseconds, where the source has one.
    pub pts_ns: Option<u64>,
    /// 0 for the first frame that the source gave, then counting up.
    pub index: u64,
}

impl Frame {
    /// An empty frame, to be filled by a source.
    pub fn new() -> Self {
        Self::default()
    }

    /// A frame of one colour.
    pub fn filled(width: usize, height: usize, rgb: [u8; 3]) -> Result<Self, VideoError> {
        let mut frame = Self::new();
        for pixel in frame.reset(width, height)?.chunks_exact_mut(CHANNELS) {
            pixel.copy_from_slice(&rgb);
        }
        Ok(frame)
    }

    /// A frame that copies packed RGB pixels.
    pub fn from_rgb(width: usize, height: usize, pixels: &[u8]) -> Result<Self, VideoError> {
        let mut frame = Self::new();
        let own = frame.reset(width, height)?;
        if own.len() != pixels.len() {
            return Err(VideoError::FrameSize {
                frame: 0,
                width,
                height,
                reason: format!("{} bytes of pixels, not {}", pixels.len(), own.len()),
            });
        }
        own.copy_from_slice(pixels);
        Ok(frame)
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels, `width * height * 3` bytes.
    pub fn pixels(&self) -> &[u8] {
        #[cfg(feature = "gstreamer")]
        if let Some(mapped) = &self.mapped {
            return &mapped[..self.width * self.height * CHANNELS];
        }
        &self.pixels
    }

    /// The pixels, to be drawn on. Pixels that lie in GStreamer's memory are copied first.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        #[cfg(feature = "gstreamer")]
        if let Some(mapped) = self.mapped.take() {
            self.pixels.clear();
            self.pixels
                .extend_from_slice(&mapped[..self.width * self.height * CHANNELS]);
        }
        &mut self.pixels
    }

    /// Name of the image file that the frame was read from; `None` for video.
    pub fn name(&self) -> Option<&str> {
        (!self.name.is_empty()).then_some(&self.name)
    }

    /// Sets the name of the image file.
    pub(crate) fn set_name(&mut self, name: &str) {
        self.name.clear();
        self.name.push_str(name);
    }

    /// Gives the frame a size and own pixels with left-over contents.
    pub(crate) fn reset(&mut self, width: usize, height: usize) -> Result<&mut [u8], VideoError> {
        self.check_size(width, height)?;
        #[cfg(feature = "gstreamer")]
        {
            self.mapped = None;
        }
        self.width = width;
        self.height = height;
        self.pixels.resize(width * height * CHANNELS, 0);
        Ok(&mut self.pixels)
    }

    /// Takes the pixels of a mapped buffer: without a copy where its rows are packed.
    #[cfg(feature = "gstreamer")]
    pub(crate) fn set_mapped(
        &mut self,
        mapped: gstreamer::MappedBuffer<gstreamer::buffer::Readable>,
        width: usize,
        height: usize,
        offset: usize,
        stride: usize,
    ) -> Result<(), VideoError> {
        self.check_size(width, height)?;
        let row = width * CHANNELS;
        let needed = stride
            .checked_mul(height - 1)
            .and_then(|bytes| bytes.checked_add(row)?.checked_add(offset));
        if stride < row || needed.is_none_or(|bytes| bytes > mapped.len()) {
            return Err(VideoError::FrameSize {
                frame: self.index,
                width,
                height,
                reason: format!("its buffer has only {} bytes", mapped.len()),
            });
        }
        if stride == row && offset == 0 {
            self.width = width;
            self.height = height;
            self.mapped = Some(mapped);
            return Ok(());
        }
        let own = self.reset(width, height)?;
        let rows = mapped[offset..].chunks(stride);
        for (to, from) in own.chunks_exact_mut(row).zip(rows) {
            to.copy_from_slice(&from[..row]);
        }
        Ok(())
    }

    fn check_size(&self, width: usize, height: usize) -> Result<(), VideoError> {
        let reason = if width == 0 || height == 0 {
            "it is empty".to_owned()
        } else if width > MAX_SIDE || height > MAX_SIDE {
            format!("a side is longer than {MAX_SIDE}")
        } else {
            return Ok(());
        };
        Err(VideoError::FrameSize {
            frame: self.index,
            width,
            height,
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_sizes_that_do_not_fit_the_pixels() {
        assert!(Frame::from_rgb(2, 2, &[0; 11]).is_err());
        assert!(Frame::filled(0, 2, [0; 3]).is_err());
        assert!(Frame::filled(1 << 20, 2, [0; 3]).is_err());
        let frame = Frame::from_rgb(2, 1, &[1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(frame.pixels(), [1, 2, 3, 4, 5, 6]);
    }
}
