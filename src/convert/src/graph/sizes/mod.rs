//! Sizes that only the run time knows, followed as formulas over the dims of the graph's inputs.

mod element;
mod formula;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use tfjet_core::{Dim, Shape};

pub use element::SymbolicInt;
pub(crate) use element::elements;
pub use formula::{Atom, Formula};

use super::WireId;

/// What the symbolic dims of a graph stand for.
///
/// A dim that follows from others is named after its formula, `ceil(image_1/2)`; any other symbol
/// is a size of its own, which the shape of one wire tells.
#[derive(Debug, Clone, Default)]
pub struct Sizes {
    formulas: RefCell<BTreeMap<String, Formula>>,
    homes: BTreeMap<String, (WireId, usize)>,
}

impl Sizes {
    /// The formula of a dim.
    pub fn formula(&self, dim: &Dim) -> Formula {
        match dim {
            Dim::Fixed(size) => Formula::from(i64::try_from(*size).unwrap_or(i64::MAX)),
            Dim::Symbolic(name) => {
                let formulas = self.formulas.borrow();
                let known = formulas.get(name).cloned();
                known.unwrap_or_else(|| Formula::symbol(name))
            }
        }
    }

    /// The dim of that size; `None` for a negative number.
    pub fn dim(&self, formula: &Formula) -> Option<Dim> {
        if let Some(size) = formula.known() {
            return usize::try_from(size).ok().map(Dim::Fixed);
        }
        if let Some(symbol) = formula.as_symbol() {
            return Some(Dim::Symbolic(symbol.into()));
        }
        let name = formula.to_string();
        let mut formulas = self.formulas.borrow_mut();
        formulas
            .entry(name.clone())
            .or_insert_with(|| formula.clone());
        Some(Dim::Symbolic(name))
    }

    /// The formulas without the wires that tell symbols: what a function inherits.
    pub(crate) fn inherited(&self) -> Self {
        Self {
            formulas: self.formulas.clone(),
            homes: BTreeMap::new(),
        }
    }

    /// Takes over the formulas that a function's dims are named after.
    pub(crate) fn absorb(&self, function: &Self) {
        let mut formulas = self.formulas.borrow_mut();
        for (name, formula) in function.formulas.borrow().iter() {
            formulas
                .entry(name.clone())
                .or_insert_with(|| formula.clone());
        }
    }

    /// Notes that the shape of `wire` tells the symbols in it, where no wire before did.
    pub(crate) fn settle(&mut self, wire: WireId, shape: &Shape) {
        for (axis, dim) in shape.dims().iter().enumerate() {
            let Dim::Symbolic(name) = dim else { continue };
            if !self.formulas.borrow().contains_key(name) {
                self.homes.entry(name.clone()).or_insert((wire, axis));
            }
        }
    }

    /// The wire, and its axis, whose size the symbol is.
    pub fn home(&self, symbol: &str) -> Option<(WireId, usize)> {
        self.homes.get(symbol).copied()
    }

    /// The wires whose shapes tell all symbols of these numbers; `None` where one is not known.
    pub fn homes(&self, elements: &[SymbolicInt]) -> Option<BTreeSet<WireId>> {
        let mut homes = BTreeSet::new();
        for element in elements {
            match element {
                SymbolicInt::Known(_) => {}
                SymbolicInt::Size(formula) => {
                    for symbol in formula.symbols() {
                        homes.insert(self.home(symbol)?.0);
                    }
                }
                SymbolicInt::Ratio(..) | SymbolicInt::Unknown => return None,
            }
        }
        Some(homes)
    }
}
