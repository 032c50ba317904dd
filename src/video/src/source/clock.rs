use std::time::Instant;

use crate::Frame;

/// Numbers and times of frames over several openings of a source.
#[derive(Debug, Default)]
pub(super) struct Clock {
    frames: u64,
    first: Option<(Instant, u64)>,
    last_pts: Option<u64>,
    offset: Option<u64>,
}

impl Clock {
    /// A frame period, for a source that does not say its own.
    const PERIOD: u64 = 33_333_333;

    /// The source begins anew: the next frame's time says how its times are shifted.
    pub(super) fn restart(&mut self) {
        self.offset = None;
    }

    /// Numbers a frame, and shifts its time behind the last one's.
    pub(super) fn stamp(&mut self, frame: &mut Frame, live: bool, rate: Option<(u32, u32)>) {
        frame.index = self.frames;
        self.frames += 1;
        let Some(pts) = frame.pts_ns else { return };
        let (began, first) = *self.first.get_or_insert((Instant::now(), pts));
        let offset = match (self.offset, self.last_pts) {
            (Some(offset), _) => offset,
            (None, None) => 0,
            (None, Some(last)) => {
                let period = rate.map_or(Self::PERIOD, |(numer, denom)| {
                    1_000_000_000 * u64::from(denom) / u64::from(numer.max(1))
                });
                let passed = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
                let now = first.saturating_add(passed);
                let next = last.saturating_add(period);
                (if live { now.max(next) } else { next }).saturating_sub(pts)
            }
        };
        self.offset = Some(offset);
        let pts = pts.saturating_add(offset).max(self.last_pts.unwrap_or(0));
        self.last_pts = Some(pts);
        frame.pts_ns = Some(pts);
    }
}
