/// Where a frame lies in the model's image.
///
/// `source = (model - offset) * scale` on each axis, in pixels, edges at whole numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Width and height of the model's image in pixels.
    pub model: (usize, usize),
    /// Width and height of the frame in pixels.
    pub source: (usize, usize),
    /// Point of the model's image onto which the frame's corner (0, 0) falls; negative where the
    /// frame is cropped.
    pub offset: (f32, f32),
    /// Frame pixels for each pixel of the model's image.
    pub scale: (f32, f32),
}

impl Placement {
    /// The placement of a frame that is the model's image.
    pub fn identity(width: usize, height: usize) -> Self {
        Self {
            model: (width, height),
            source: (width, height),
            offset: (0.0, 0.0),
            scale: (1.0, 1.0),
        }
    }

    /// The point of the frame under a point of the model's image, both in pixels.
    pub fn to_source(&self, x: f32, y: f32) -> (f32, f32) {
        (
            (x - self.offset.0) * self.scale.0,
            (y - self.offset.1) * self.scale.1,
        )
    }

    /// A box (x1, y1, x2, y2) in pixels of the model's image as a box in the frame, clipped.
    pub fn box_to_source(&self, [x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
        let (x1, y1) = self.to_source(x1, y1);
        let (x2, y2) = self.to_source(x2, y2);
        let (width, height) = (self.source.0 as f32, self.source.1 as f32);
        [
            x1.clamp(0.0, width),
            y1.clamp(0.0, height),
            x2.clamp(0.0, width),
            y2.clamp(0.0, height),
        ]
    }
}
