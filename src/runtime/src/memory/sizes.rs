use std::collections::BTreeMap;

use tfjet_core::formula::evaluate;
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

    /// The size of a symbol, also of one that is named after a formula over others.
    fn size(&self, symbol: &str) -> Option<u64> {
        evaluate(symbol, &|name| self.known.get(name).copied())
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
            ("ceil(ceil(h/2)/2)", Some(12)),
            ("floor((h - 3)/2) + 1", Some(22)),
            ("w", None),
            ("2*w", None),
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
