use std::collections::BTreeMap;

use tfjet_core::{DType, Dim, ImageLayout, Manifest, Shape};

use super::sizes_of;

/// The sizes of symbolic dims.
#[derive(Debug, Clone, Default)]
pub(super) struct Sizes {
    known: BTreeMap<String, u64>,
    open: bool,
}

impl Sizes {
    /// Those of a model's inputs: as `inputs` say, else of the image that it takes.
    pub(super) fn of(manifest: &Manifest, inputs: Option<&[Vec<usize>]>) -> Self {
        let mut sizes = Self::default();
        for (index, spec) in manifest.inputs.iter().enumerate() {
            let Some(shape) = &spec.shape else { continue };
            let image = manifest.preprocess.as_ref();
            if let Some(image) = image.filter(|image| image.input == index) {
                let (height, width) = (image.height as u64, image.width as u64);
                match image.layout {
                    ImageLayout::Nhwc => sizes.bind(shape, &[1, height, width, 3]),
                    ImageLayout::Nchw => sizes.bind(shape, &[1, 3, height, width]),
                }
            }
            if let Some(given) = inputs.and_then(|inputs| inputs.get(index)) {
                sizes.bind(shape, &sizes_of(given));
            }
            if let Some(Dim::Symbolic(batch)) = shape.dims().first() {
                sizes.known.entry(batch.clone()).or_insert(1);
            }
        }
        sizes
    }

    /// Gives the symbols of `shape` these sizes.
    pub(super) fn bind(&mut self, shape: &Shape, actual: &[u64]) {
        for (dim, &size) in shape.dims().iter().zip(actual) {
            if let Dim::Symbolic(symbol) = dim {
                self.known.insert(symbol.clone(), size);
            }
        }
    }

    /// Was a size asked for that is not known?
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Bytes of a tensor, open sizes as 1; none where not even the rank is known.
    pub(super) fn bytes(&mut self, shape: Option<&Shape>, dtype: DType) -> u64 {
        let Some(shape) = shape else {
            self.open = true;
            return 0;
        };
        let dims = shape.dims().iter();
        dims.fold(dtype.size_bytes() as u64, |bytes, dim| {
            let size = match dim {
                Dim::Fixed(size) => *size as u64,
                Dim::Symbolic(symbol) => self.size(symbol).unwrap_or_else(|| {
                    self.open = true;
                    1
                }),
            };
            bytes.saturating_mul(size)
        })
    }

    /// The size of a symbol, also of one that is written as arithmetic on another one, such as
    /// `ceil(height/2)` or `width*2`.
    fn size(&self, symbol: &str) -> Option<u64> {
        if let Some(size) = self.known.get(symbol) {
            return Some(*size);
        }
        if let Ok(number) = symbol.parse() {
            return Some(number);
        }
        for rounding in ["ceil(", "floor("] {
            let inside = symbol.strip_prefix(rounding);
            if let Some((a, b)) = inside
                .and_then(|it| it.strip_suffix(')'))
                .and_then(|it| it.rsplit_once('/'))
            {
                let (a, b) = (self.size(a)?, self.size(b).filter(|&b| b > 0)?);
                return Some(if rounding == "ceil(" {
                    a.div_ceil(b)
                } else {
                    a / b
                });
            }
        }
        let symbol = symbol
            .strip_prefix('(')
            .and_then(|it| it.strip_suffix(')'))
            .unwrap_or(symbol);
        let at = |sign| symbol.rsplit_once(sign).map(|(a, b)| (sign, a, b));
        let (sign, a, b) = at('+').or(at('-')).or(at('*'))?;
        let (a, b) = (self.size(a.trim())?, self.size(b.trim())?);
        match sign {
            '+' => a.checked_add(b),
            '-' => a.checked_sub(b),
            _ => a.checked_mul(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_looked_up_or_computed() {
        let mut sizes = Sizes::default();
        let shape = Shape(vec![
            Dim::Symbolic("net/in_0".into()),
            Dim::Symbolic("h".into()),
        ]);
        sizes.bind(&shape, &[9, 9]);
        sizes.bind(&shape, &[3, 45]);
        for (symbol, expected) in [
            ("net/in_0", Some(3)),
            ("h", Some(45)),
            ("ceil(h/2)", Some(23)),
            ("floor(h/2)", Some(22)),
            ("ceil(ceil(h/2)/2)", Some(12)),
            ("ceil(net/in_0/2)", Some(2)),
            ("h*2", Some(90)),
            ("h + 1", Some(46)),
            ("h-1", Some(44)),
            ("h-46", None),
            ("7", Some(7)),
            ("w", None),
            ("ceil(w/2)", None),
            ("ceil(h/0)", None),
            ("h*18446744073709551615", None),
            ("", None),
            ("+", None),
        ] {
            assert_eq!(sizes.size(symbol), expected, "{symbol}");
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        let mut sizes = Sizes::default();
        let shape = Shape(vec![Dim::Symbolic("n".into()), Dim::Fixed(3)]);
        assert_eq!(sizes.bytes(Some(&Shape::fixed(&[2, 3])), DType::F32), 24);
        assert!(!sizes.is_open());
        assert_eq!(sizes.bytes(Some(&shape), DType::F16), 6);
        assert!(sizes.is_open());
        let mut sizes = Sizes::default();
        assert_eq!(sizes.bytes(None, DType::F16), 0);
        assert!(sizes.is_open());
        let huge = Shape::fixed(&[usize::MAX, usize::MAX]);
        assert_eq!(sizes.bytes(Some(&huge), DType::F32), u64::MAX);
    }
}
