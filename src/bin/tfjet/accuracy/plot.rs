//! Plots as SVG, coloured by the page's style.

use std::fmt::Write as _;

use tfjet::convert::calibrate::Histogram;

use super::LayerReport;
use super::page::escape;

/// Bars of a histogram.
const BARS: usize = 96;

/// Ratios above this are drawn at it, in dB.
pub(super) const TOP_DB: f64 = 80.0;

/// Elements beyond which neighbours share a column.
const COLUMNS: usize = 600;

/// Counts of magnitudes on a logarithmic scale, and the range by which they are rounded.
pub(super) fn histogram(histogram: &Histogram, range: Option<f32>) -> String {
    const SIZE: (f64, f64) = (300.0, 96.0);
    let bins = histogram.bins();
    let width = f64::from(histogram.bin_width());
    let largest = f64::from(histogram.magnitude().unwrap_or(0.0));
    let end = largest.max(range.map_or(0.0, f64::from)) * 1.03;
    let end = if end > 0.0 { end } else { 1.0 };
    let mut bars = [0_u64; BARS];
    for (bin, &count) in bins.iter().enumerate() {
        let middle = (bin as f64 + 0.5) * width;
        let place = ((middle / end * BARS as f64) as usize).min(BARS - 1);
        bars[place] += count;
    }
    let most = bars.iter().copied().max().unwrap_or(0).max(1) as f64;
    let height = |count: u64| match count {
        0 => 0.0,
        count => SIZE.1 * (0.04 + 0.96 * (count as f64).ln_1p() / most.ln_1p()),
    };
    let mut path = String::new();
    let bar = SIZE.0 / BARS as f64;
    for (index, &count) in bars.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (x, y) = (index as f64 * bar, SIZE.1 - height(count));
        let _ = write!(path, "M{x:.1} {:.1}V{y:.1}h{bar:.2}V{:.1}z", SIZE.1, SIZE.1);
    }
    let mut svg = format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"histogram of magnitudes\">\
         <path class=\"bars\" d=\"{path}\"/><path class=\"axis\" d=\"M0 {}H{}\"/>",
        SIZE.0,
        SIZE.1 + 16.0,
        SIZE.1,
        SIZE.0
    );
    if let Some(range) = range {
        let x = f64::from(range) / end * SIZE.0;
        let _ = write!(svg, "<path class=\"range\" d=\"M{x:.1} 0V{}\"/>", SIZE.1);
        let (anchor, shift) = if x > SIZE.0 * 0.6 {
            ("end", -3.0)
        } else {
            ("start", 3.0)
        };
        let _ = write!(
            svg,
            "<text class=\"range-label\" x=\"{:.1}\" y=\"10\" text-anchor=\"{anchor}\">{}</text>",
            x + shift,
            number(f64::from(range))
        );
    }
    let _ = write!(
        svg,
        "<text x=\"0\" y=\"{0}\">0</text><text x=\"{1}\" y=\"{0}\" text-anchor=\"end\">{2}</text></svg>",
        SIZE.1 + 13.0,
        SIZE.0,
        number(end)
    );
    svg
}

/// Signal to quantization noise of every tensor in the order of the layers.
pub(super) fn ratios(layers: &[LayerReport]) -> String {
    const SIZE: (f64, f64) = (900.0, 220.0);
    const LEFT: f64 = 44.0;
    let count = layers
        .iter()
        .map(|layer| layer.order + 1)
        .max()
        .unwrap_or(1);
    let y = |db: f64| SIZE.1 - db.clamp(0.0, TOP_DB) / TOP_DB * SIZE.1;
    let mut svg = format!(
        "<svg class=\"wide\" viewBox=\"0 -8 {} {}\" role=\"img\" aria-label=\"signal to \
         quantization noise by layer\">",
        LEFT + SIZE.0,
        SIZE.1 + 32.0
    );
    for db in [0.0, 20.0, 40.0, 60.0, 80.0] {
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {0:.1}h{1}\"/><text x=\"{2}\" y=\"{3:.1}\" \
             text-anchor=\"end\">{db:.0} dB</text>",
            y(db),
            SIZE.0,
            LEFT - 5.0,
            y(db) + 4.0
        );
    }
    let mut in_order: Vec<&LayerReport> = layers.iter().collect();
    in_order.sort_by_key(|layer| layer.order);
    for layer in in_order {
        let x = LEFT + (layer.order as f64 + 0.5) / count as f64 * SIZE.0;
        let class = match layer.not_finite {
            0 => layer.precision.as_str(),
            _ => "bad",
        };
        let _ = write!(
            svg,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3\"><title>{}: {}</title></circle>",
            y(layer.sqnr_db.unwrap_or(TOP_DB)),
            escape(layer.layer.as_deref().unwrap_or(&layer.tensor)),
            super::db_text(layer.sqnr_db)
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{LEFT}\" y=\"{}\">first layer</text><text x=\"{}\" y=\"{}\" \
         text-anchor=\"end\">last layer</text></svg>",
        SIZE.1 + 16.0,
        LEFT + SIZE.0,
        SIZE.1 + 16.0
    );
    svg
}

/// Lowest, mean and highest difference of each element of an output.
pub(super) fn elements(by_element: &[[f64; 3]]) -> String {
    const SIZE: (f64, f64) = (900.0, 120.0);
    let each = by_element.len().div_ceil(COLUMNS).max(1);
    let columns: Vec<[f64; 3]> = by_element
        .chunks(each)
        .map(|chunk| {
            let lowest = chunk.iter().map(|it| it[0]).fold(f64::INFINITY, f64::min);
            let highest = chunk
                .iter()
                .map(|it| it[1])
                .fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = chunk.iter().map(|it| it[2]).sum();
            [lowest, highest, sum / chunk.len() as f64]
        })
        .collect();
    let largest = columns.iter().flat_map(|it| [it[0].abs(), it[1].abs()]);
    let largest = largest.fold(0.0, f64::max);
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let step = SIZE.0 / columns.len().max(1) as f64;
    let x = |index: usize| (index as f64 + 0.5) * step;
    let y = |value: f64| SIZE.1 * (0.5 - 0.48 * value / scale);
    let mut band = String::new();
    let mut mean = String::new();
    for (index, column) in columns.iter().enumerate() {
        let letter = if index == 0 { 'M' } else { 'L' };
        let _ = write!(band, "{letter}{:.1} {:.1}", x(index), y(column[1]));
        let _ = write!(mean, "{letter}{:.1} {:.1}", x(index), y(column[2]));
    }
    for (index, column) in columns.iter().enumerate().rev() {
        let _ = write!(band, "L{:.1} {:.1}", x(index), y(column[0]));
    }
    format!(
        "<svg class=\"wide\" viewBox=\"0 0 {0} {1}\" role=\"img\" aria-label=\"difference by \
         element\"><path class=\"grid\" d=\"M0 {2}H{0}\"/><path class=\"band\" d=\"{band}z\"/>\
         <path class=\"mean\" d=\"{mean}\"/><text x=\"2\" y=\"10\">{3}</text>\
         <text x=\"2\" y=\"{4}\">{5}</text></svg>",
        SIZE.0,
        SIZE.1,
        SIZE.1 / 2.0,
        number(scale),
        SIZE.1 - 3.0,
        number(-scale)
    )
}

/// A number for people, four digits.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if (0.01..10_000.0).contains(&size) => {
            let digits = 3 - size.log10().floor().clamp(-2.0, 3.0) as i32;
            format!("{value:.*}", usize::try_from(digits).unwrap_or(0))
        }
        _ => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.5, "0.5000"),
            (12.3456, "12.35"),
            (-1234.5, "-1234"),
            (0.001, "1.00e-3"),
            (123_456.0, "1.23e5"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_histogram_has_a_bar_where_values_are_and_a_line_at_the_range() {
        let mut values = Histogram::new();
        values.add(&[1.0; 100]);
        values.add(&[-4.0]);
        let svg = histogram(&values, Some(2.0));
        let bars = svg
            .split("class=\"bars\" d=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        assert_eq!(bars.matches('M').count(), 2, "{bars}");
        // 2 of 4.12
        assert!(svg.contains("class=\"range\" d=\"M145.6 0V96\""), "{svg}");
        assert!(!histogram(&Histogram::new(), None).contains("NaN"));
    }

    #[test]
    fn many_elements_share_columns() {
        let svg = elements(&vec![[-1.0, 2.0, 0.5]; 5000]);
        let mean = svg
            .split("class=\"mean\" d=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        assert!(mean.matches('L').count() < COLUMNS);
        assert!(!elements(&[]).contains("NaN"));
    }
}
