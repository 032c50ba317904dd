//! Which encoder and container a video file gets.

use crate::{VideoError, gst as support};

/// One way to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoder {
    /// Element that encodes.
    pub(super) element: &'static str,
    /// Other elements that it needs.
    needs: &'static [&'static str],
    /// From raw video in system memory to a stream that a muxer takes; `{rate}` stands for the
    /// bits per second.
    chain: &'static str,
    /// Extensions of files whose container takes the stream.
    files: &'static [&'static str],
}

/// By preference: fast hardware, then what costs the processor least for a small file.
const ENCODERS: [Encoder; 6] = [
    Encoder {
        element: "nvv4l2h264enc",
        needs: &["nvvidconv", "h264parse"],
        chain: "video/x-raw,format=I420 ! nvvidconv ! video/x-raw(memory:NVMM),format=NV12 \
                ! nvv4l2h264enc maxperf-enable=true bitrate={rate} ! h264parse",
        files: &["mkv", "mp4", "avi"],
    },
    Encoder {
        element: "x264enc",
        needs: &["h264parse"],
        chain: "video/x-raw,format=I420 ! x264enc speed-preset=ultrafast pass=quant quantizer=23 \
                ! h264parse",
        files: &["mkv", "mp4", "avi"],
    },
    Encoder {
        element: "vp8enc",
        needs: &[],
        chain: "video/x-raw,format=I420 \
                ! vp8enc deadline=1 cpu-used=16 threads=1 target-bitrate={rate}",
        files: &["webm", "mkv"],
    },
    Encoder {
        element: "openh264enc",
        needs: &["h264parse"],
        chain: "video/x-raw,format=I420 ! openh264enc complexity=low bitrate={rate} ! h264parse",
        files: &["mkv", "mp4", "avi"],
    },
    Encoder {
        element: "avenc_mpeg4",
        needs: &[],
        chain: "video/x-raw,format=I420 ! avenc_mpeg4 bitrate={rate}",
        files: &["mp4", "mkv", "avi"],
    },
    Encoder {
        element: "jpegenc",
        needs: &[],
        chain: "jpegenc quality=85",
        files: &["avi", "mkv"],
    },
];

/// Pixels of a frame for each bit.
const PIXELS_PER_BIT: u64 = 4;

impl Encoder {
    /// From raw video to the container, for frames of so many pixels.
    pub(super) fn pipeline(&self, extension: &str, pixels: usize, rate: (u32, u32)) -> String {
        let per_second = u64::from(rate.0)
            .div_ceil(u64::from(rate.1.max(1)))
            .clamp(1, 120);
        let bits = (pixels as u64 * per_second / PIXELS_PER_BIT).clamp(200_000, 50_000_000);
        let chain = self.chain.replace("{rate}", &bits.to_string());
        format!("videoconvert ! {chain} ! {}", muxer(extension))
    }

    fn installed(&self) -> bool {
        support::exists(self.element) && self.needs.iter().all(|element| support::exists(element))
    }
}

fn muxer(extension: &str) -> &'static str {
    match extension {
        "mp4" => "mp4mux",
        "avi" => "avimux",
        "webm" => "webmmux",
        _ => "matroskamux",
    }
}

/// The installed encoders for a file, best first.
pub(super) fn candidates(place: &str, extension: &str) -> Result<Vec<Encoder>, VideoError> {
    let muxer = muxer(extension);
    if !support::exists(muxer) {
        return Err(support::missing(place, muxer));
    }
    let fitting = ENCODERS
        .iter()
        .filter(|encoder| encoder.files.contains(&extension));
    let found: Vec<Encoder> = fitting
        .clone()
        .filter(|encoder| encoder.installed())
        .copied()
        .collect();
    if found.is_empty() {
        let names: Vec<&str> = fitting.map(|encoder| encoder.element).collect();
        return Err(support::missing(place, &names.join("` or `")));
    }
    Ok(found)
}
