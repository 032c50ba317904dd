use crate::number::Number;

/// When boxes are clipped to the window; a box without area in it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clip {
    None,
    /// Before they suppress one another.
    Before,
    /// The ones that are left.
    After,
}

/// A window `[y_min, x_min, y_max, x_max]`. The arithmetic is that of the ops which it stands for,
/// step by step, so that results have the same bits.
#[derive(Debug)]
pub(super) struct Window {
    corners: [f32; 4],
    /// Factors for y and x where boxes are given relative to the window.
    scale: Option<[f32; 2]>,
}

impl Window {
    pub(super) fn new(corners: [f32; 4], change_coordinate_frame: bool) -> Self {
        let [y_min, x_min, y_max, x_max] = corners;
        let scale =
            change_coordinate_frame.then_some([1.0 / (y_max - y_min), 1.0 / (x_max - x_min)]);
        Self { corners, scale }
    }

    /// The part of a box inside the window, in the window's coordinates where that is asked;
    /// `None` where it has no area.
    pub(super) fn clip(&self, [y_min, x_min, y_max, x_max]: [f32; 4]) -> Option<[f32; 4]> {
        let [top, left, bottom, right] = self.corners;
        let y = |y: f32| y.lesser(bottom).greater(top);
        let x = |x: f32| x.lesser(right).greater(left);
        let clipped = [y(y_min), x(x_min), y(y_max), x(x_max)];
        let [y_min, x_min, y_max, x_max] = clipped;
        let has_area = (y_max - y_min) * (x_max - x_min) > 0.0;
        let seen = match self.scale {
            None => clipped,
            Some([y, x]) => [
                y * (y_min - top),
                x * (x_min - left),
                y * (y_max - top),
                x * (x_max - left),
            ],
        };
        has_area.then_some(seen)
    }
}
