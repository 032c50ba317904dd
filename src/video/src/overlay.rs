use std::fmt::{self, Write};

use embedded_graphics::{
    Drawable, Pixel,
    draw_target::DrawTarget,
    geometry::{OriginDimensions, Point, Size},
    mono_font::{MonoFont, MonoTextStyleBuilder, iso_8859_1::FONT_9X15_BOLD},
    pixelcolor::{Rgb888, RgbColor},
    prelude::Dimensions,
    primitives::Rectangle,
    text::{Baseline, Text},
};

use crate::{Class, Detection, Frame, Labels, Results, frame::CHANNELS};

const FONT: &MonoFont<'static> = &FONT_9X15_BOLD;

/// Height of frame for each step of magnification of lines and letters.
const HEIGHT_PER_STEP: usize = 720;

/// Thickness of a box's line.
const LINE: i32 = 2;

/// Empty space around text.
const MARGIN: i32 = 2;

/// Most letters of a label that are drawn.
const LABEL_LETTERS: usize = 32;

/// Colours of classes, told apart by neighbours in hue and brightness.
const PALETTE: [Rgb888; 12] = [
    Rgb888::new(255, 214, 0),
    Rgb888::new(0, 200, 255),
    Rgb888::new(255, 64, 64),
    Rgb888::new(64, 255, 96),
    Rgb888::new(255, 96, 255),
    Rgb888::new(255, 144, 0),
    Rgb888::new(128, 160, 255),
    Rgb888::new(176, 255, 0),
    Rgb888::new(0, 255, 200),
    Rgb888::new(255, 160, 192),
    Rgb888::new(192, 128, 255),
    Rgb888::new(224, 192, 144),
];

/// The line at the top of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Status {
    /// Frames per second.
    pub fps: f32,
    /// Milliseconds from frame to results.
    pub latency_ms: f32,
}

/// Draws results into frames: boxes with label and score, the list of classes, the status line.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    labels: Labels,
}

impl Overlay {
    /// Draws with these names of classes.
    pub fn new(labels: Labels) -> Self {
        Self { labels }
    }

    /// Draws `results` and `status` into `frame`, clipped at its borders.
    pub fn draw(&self, frame: &mut Frame, results: &Results, status: Option<Status>) {
        let mut canvas = Canvas::new(frame);
        for detection in results.detections().iter().rev() {
            canvas.frame_box(detection);
        }
        for detection in results.detections().iter().rev() {
            let mut line = Line::default();
            self.name(&mut line, detection.class, detection.score);
            canvas.tag(&line, corner(detection), color(detection.class));
        }
        let mut at = Point::new(0, 0);
        if let Some(status) = status {
            let mut line = Line::default();
            line.put(format_args!(
                "{:.1} fps  {:.1} ms",
                status.fps, status.latency_ms
            ));
            canvas.text(&line, at, Rgb888::WHITE, Rgb888::BLACK);
            at.y += text_height();
        }
        for &Class { class, score } in results.classes() {
            let mut line = Line::default();
            self.name(&mut line, class, score);
            canvas.text(&line, at, Rgb888::BLACK, color(class));
            at.y += text_height();
        }
    }

    fn name(&self, line: &mut Line, class: i32, score: f32) {
        line.limit = LABEL_LETTERS;
        line.put(format_args!("{}", self.labels.display(class)));
        line.limit = usize::MAX;
        line.put(format_args!(" {score:.2}"));
    }
}

fn color(class: i32) -> Rgb888 {
    PALETTE[class.rem_euclid(PALETTE.len() as i32) as usize]
}

fn text_height() -> i32 {
    FONT.character_size.height as i32 + MARGIN
}

/// The box's left top corner in pixels of the frame.
fn corner(detection: &Detection) -> (i32, i32) {
    (detection.box_[0] as i32, detection.box_[1] as i32)
}

/// One line of text on the stack; what does not fit is cut off.
#[derive(Default)]
struct Line {
    text: heapless::String<96>,
    letters: usize,
    limit: usize,
}

impl Line {
    fn put(&mut self, arguments: fmt::Arguments<'_>) {
        if self.limit == 0 {
            self.limit = usize::MAX;
        }
        // Only a full line fails, and that is cut off on purpose.
        let _ = self.write_fmt(arguments);
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            if self.letters >= self.limit || self.text.push(letter).is_err() {
                break;
            }
            self.letters += 1;
        }
        Ok(())
    }
}

/// The frame as a drawing surface of magnified pixels.
struct Canvas<'a> {
    pixels: &'a mut [u8],
    width: usize,
    height: usize,
    step: usize,
}

impl<'a> Canvas<'a> {
    fn new(frame: &'a mut Frame) -> Self {
        let (width, height) = (frame.width(), frame.height());
        Self {
            width,
            height,
            step: (height / HEIGHT_PER_STEP).max(1),
            pixels: frame.pixels_mut(),
        }
    }

    /// Pixels of the frame as magnified pixels.
    fn scaled(&self, value: i32) -> i32 {
        value / self.step as i32
    }

    /// Fills from (x1, y1) to before (x2, y2), in pixels of the frame.
    fn fill(&mut self, x1: i32, y1: i32, x2: i32, y2: i32, color: Rgb888) {
        let inside = |value: i32, size: usize| usize::try_from(value).unwrap_or(0).min(size);
        let (x1, x2) = (inside(x1, self.width), inside(x2, self.width));
        let (y1, y2) = (inside(y1, self.height), inside(y2, self.height));
        if x1 >= x2 {
            return;
        }
        let rgb = [color.r(), color.g(), color.b()];
        for y in y1..y2 {
            let row = &mut self.pixels[(y * self.width + x1) * CHANNELS..][..(x2 - x1) * CHANNELS];
            for pixel in row.chunks_exact_mut(CHANNELS) {
                pixel.copy_from_slice(&rgb);
            }
        }
    }

    fn frame_box(&mut self, detection: &Detection) {
        let [x1, y1, x2, y2] = detection.box_.map(|value| value.round() as i32);
        let line = LINE * self.step as i32;
        let color = color(detection.class);
        self.fill(x1, y1, x2, (y1 + line).min(y2), color);
        self.fill(x1, (y2 - line).max(y1), x2, y2, color);
        self.fill(x1, y1, (x1 + line).min(x2), y2, color);
        self.fill((x2 - line).max(x1), y1, x2, y2, color);
    }

    /// A box's label: above the box where there is room, else inside it.
    fn tag(&mut self, line: &Line, (x, y): (i32, i32), background: Rgb888) {
        let width = FONT.character_size.width as i32 * line.letters as i32 + 2 * MARGIN;
        let (x, y) = (self.scaled(x), self.scaled(y));
        let right = self.size().width as i32 - width;
        let above = y - text_height();
        let at = Point::new(x.min(right).max(0), if above < 0 { y } else { above });
        self.text(line, at, Rgb888::BLACK, background);
    }

    fn text(&mut self, line: &Line, at: Point, letters: Rgb888, background: Rgb888) {
        let style = MonoTextStyleBuilder::new()
            .font(FONT)
            .text_color(letters)
            .build();
        let inner = Point::new(at.x + MARGIN, at.y + MARGIN / 2);
        let text = Text::with_baseline(&line.text, inner, style, Baseline::Top);
        let width = text.bounding_box().size.width as i32 + 2 * MARGIN;
        let step = self.step as i32;
        self.fill(
            at.x * step,
            at.y * step,
            (at.x + width) * step,
            (at.y + text_height()) * step,
            background,
        );
        let Ok(_) = text.draw(self);
    }
}

impl OriginDimensions for Canvas<'_> {
    fn size(&self) -> Size {
        Size::new(
            (self.width / self.step) as u32,
            (self.height / self.step) as u32,
        )
    }
}

impl DrawTarget for Canvas<'_> {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Self::Error>
    where
        I: IntoIterator<Item = Pixel<Rgb888>>,
    {
        for Pixel(point, color) in pixels {
            self.fill_solid(&Rectangle::new(point, Size::new(1, 1)), color)?;
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, color: Rgb888) -> Result<(), Self::Error> {
        let step = self.step as i32;
        let (x, y) = (area.top_left.x, area.top_left.y);
        let (right, bottom) = (x + area.size.width as i32, y + area.size.height as i32);
        self.fill(x * step, y * step, right * step, bottom * step, color);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tfjet_core::Decoder;

    use super::*;
    use crate::{Classes, Detections, Found};

    fn detections(items: &[Detection]) -> Results {
        Results {
            found: Found::Detections(Detections::from_slice(items).unwrap()),
            ..Results::default()
        }
    }

    fn pixel(frame: &Frame, x: usize, y: usize) -> [u8; 3] {
        let at = (y * frame.width() + x) * 3;
        frame.pixels()[at..at + 3].try_into().unwrap()
    }

    fn overlay() -> Overlay {
        Overlay::new(Labels::new(vec!["person".into()], &Decoder::Raw))
    }

    #[test]
    fn draws_box_and_label_and_leaves_the_inside() {
        let mut frame = Frame::filled(200, 100, [9; 3]).unwrap();
        let found = detections(&[Detection {
            class: 0,
            score: 0.9,
            box_: [20.0, 40.0, 120.0, 90.0],
        }]);
        overlay().draw(&mut frame, &found, None);
        let yellow = [255, 214, 0];
        for (x, y) in [(20, 40), (21, 65), (119, 65), (70, 89), (118, 41)] {
            assert_eq!(pixel(&frame, x, y), yellow, "{x} {y}");
        }
        for (x, y) in [(22, 50), (70, 60), (120, 65), (19, 65), (70, 90)] {
            assert_eq!(pixel(&frame, x, y), [9; 3], "{x} {y}");
        }
        let tag = (20..20 + 11 * 9).flat_map(|x| (23..40).map(move |y| (x, y)));
        let (mut letters, mut ground) = (0, 0);
        for (x, y) in tag {
            match pixel(&frame, x, y) {
                [0, 0, 0] => letters += 1,
                color => {
                    assert_eq!(color, yellow);
                    ground += 1;
                }
            }
        }
        assert!(letters > 200 && ground > letters, "{letters} {ground}");
    }

    #[test]
    fn clips_at_the_borders() {
        for size in [(1, 1), (3, 200), (200, 3), (64, 48), (2000, 1500)] {
            let mut frame = Frame::filled(size.0, size.1, [9; 3]).unwrap();
            let far = 1e9;
            let found = detections(&[
                Detection {
                    class: -7,
                    score: 1e9,
                    box_: [0.0, 0.0, far, far],
                },
                Detection {
                    class: i32::MIN,
                    score: 0.5,
                    box_: [-far, -far, 0.0, 0.0],
                },
                Detection {
                    class: i32::MAX,
                    score: 0.5,
                    box_: [50.0, 40.0, 10.0, 1.0],
                },
            ]);
            let status = Some(Status {
                fps: f32::INFINITY,
                latency_ms: f32::NAN,
            });
            overlay().draw(&mut frame, &found, status);
            assert_eq!(frame.pixels().len(), size.0 * size.1 * 3);
            assert_ne!(pixel(&frame, 0, 0), [9; 3]);
        }
    }

    #[test]
    fn long_labels_keep_their_score() {
        let overlay = Overlay::new(Labels::new(vec!["x".repeat(200)], &Decoder::Raw));
        let mut line = Line::default();
        overlay.name(&mut line, 0, 0.25);
        assert_eq!(
            line.text.as_str(),
            format!("{} 0.25", "x".repeat(LABEL_LETTERS))
        );
    }

    #[test]
    fn lists_classes() {
        let mut frame = Frame::filled(200, 100, [9; 3]).unwrap();
        let classes = [
            Class {
                class: 0,
                score: 0.75,
            },
            Class {
                class: 2,
                score: 0.5,
            },
        ];
        let results = Results {
            found: Found::Classes(Classes::from_slice(&classes).unwrap()),
            ..Results::default()
        };
        overlay().draw(
            &mut frame,
            &results,
            Some(Status {
                fps: 10.0,
                latency_ms: 5.0,
            }),
        );
        assert_eq!(pixel(&frame, 0, 0), [0; 3]);
        assert_eq!(pixel(&frame, 0, 17), [255, 214, 0]);
        assert_eq!(pixel(&frame, 0, 34), [255, 64, 64]);
        assert_eq!(pixel(&frame, 0, 51), [9; 3]);
    }
}
