use std::collections::BTreeMap;

use tfjet_core::formula::evaluate;
use tfjet_core::{Dim, Shape};

use super::{Extent, ShapeRange, range_text};
use crate::exit::Usage;

/// The sizes of symbolic dims, and who gave them.
#[derive(Debug, Default)]
pub(super) struct Symbols(BTreeMap<String, (Extent, String)>);

impl Symbols {
    /// # Errors
    /// Where the symbol has another size already.
    pub(super) fn bind(&mut self, symbol: &str, extent: Extent, by: &str) -> Result<(), Usage> {
        let entry = self.0.entry(symbol.to_owned());
        let (bound, other) = entry.or_insert_with(|| (extent, by.to_owned()));
        if *bound == extent {
            return Ok(());
        }
        Err(Usage(format!(
            "`{by}` makes `{symbol}` {}, and `{other}` makes it {}",
            range_text(extent),
            range_text(*bound)
        )))
    }

    /// The sizes of a symbol, also of one that is named after a formula over others, as in
    /// `ceil(height/2)`.
    pub(super) fn extent(&self, symbol: &str) -> Option<Extent> {
        let size = |index: usize| {
            let known = |name: &str| Some(self.0.get(name)?.0[index]);
            evaluate(symbol, &known)
        };
        let [at_min, opt, at_max] = [size(0)?, size(1)?, size(2)?];
        // A difference may be largest where its sizes are smallest.
        let (min, max) = (at_min.min(at_max), at_min.max(at_max));
        Some([min.min(opt), opt, max.max(opt)])
    }

    /// The range of a shape, or the first symbol that has no size.
    pub(super) fn range<'a>(&self, shape: &'a Shape) -> Result<ShapeRange, &'a str> {
        let mut range = ShapeRange::default();
        for dim in shape.dims() {
            let extent = match dim {
                Dim::Fixed(size) => [*size as u64; 3],
                Dim::Symbolic(symbol) => self.extent(symbol).ok_or(symbol.as_str())?,
            };
            for (sizes, size) in range.iter_mut().zip(extent) {
                sizes.push(size);
            }
        }
        Ok(range)
    }
}
