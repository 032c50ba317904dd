use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// Formulas with more terms, or whose parts lie deeper, are given up.
const MAX_TERMS: usize = 12;
const MAX_DEPTH: usize = 8;

/// A whole number that only the run time knows: a sum of products of sizes, with integer factors.
///
/// Equal formulas are equal values; two formulas that differ may still be equal. A symbol is the
/// size of a dim and therefore 0 at least.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Formula {
    /// Factor of each product of atoms; none is 0.
    terms: BTreeMap<Vec<Atom>, i64>,
    constant: i64,
}

/// What a formula multiplies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Atom {
    /// The size of a dim.
    Symbol(String),
    /// The first divided by the second, rounded down.
    Floor(Box<Formula>, Box<Formula>),
    /// The larger one.
    Max(Box<Formula>, Box<Formula>),
    /// The smaller one.
    Min(Box<Formula>, Box<Formula>),
}

impl From<i64> for Formula {
    fn from(constant: i64) -> Self {
        Self {
            terms: BTreeMap::new(),
            constant,
        }
    }
}

impl Formula {
    /// The size of the dim named `symbol`.
    pub fn symbol(symbol: &str) -> Self {
        Self::atom(Atom::Symbol(symbol.into()))
    }

    fn atom(atom: Atom) -> Self {
        Self {
            terms: BTreeMap::from([(vec![atom], 1)]),
            constant: 0,
        }
    }

    /// The number, where no symbol is in it.
    pub fn known(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// The symbol, where the formula is nothing else.
    pub fn as_symbol(&self) -> Option<&str> {
        match (self.constant, self.single()?) {
            (0, ([Atom::Symbol(name)], 1)) => Some(name),
            _ => None,
        }
    }

    /// The only term.
    fn single(&self) -> Option<(&[Atom], i64)> {
        let mut terms = self.terms.iter();
        match (terms.next(), terms.next()) {
            (Some((atoms, factor)), None) => Some((atoms, *factor)),
            _ => None,
        }
    }

    /// The products with their factors, and what is added to them.
    pub fn parts(&self) -> (impl Iterator<Item = (&[Atom], i64)>, i64) {
        let terms = self.terms.iter();
        (
            terms.map(|(atoms, factor)| (atoms.as_slice(), *factor)),
            self.constant,
        )
    }

    /// Every symbol in it.
    pub fn symbols(&self) -> Vec<&str> {
        let mut symbols = Vec::new();
        self.collect(&mut symbols);
        symbols.sort_unstable();
        symbols.dedup();
        symbols
    }

    fn collect<'a>(&'a self, symbols: &mut Vec<&'a str>) {
        for atom in self.terms.keys().flatten() {
            match atom {
                Atom::Symbol(name) => symbols.push(name),
                Atom::Floor(a, b) | Atom::Max(a, b) | Atom::Min(a, b) => {
                    a.collect(symbols);
                    b.collect(symbols);
                }
            }
        }
    }

    /// The number, given the size that each symbol stands for; `None` where one is not known, a
    /// divisor is 0 or the number is too large.
    pub fn value(&self, size: &dyn Fn(&str) -> Option<i64>) -> Option<i64> {
        let mut sum = self.constant;
        for (atoms, factor) in &self.terms {
            let mut product = *factor;
            for atom in atoms {
                product = product.checked_mul(atom.value(size)?)?;
            }
            sum = sum.checked_add(product)?;
        }
        Some(sum)
    }

    fn depth(&self) -> usize {
        let of = |atom: &Atom| match atom {
            Atom::Symbol(_) => 0,
            Atom::Floor(a, b) | Atom::Max(a, b) | Atom::Min(a, b) => 1 + a.depth().max(b.depth()),
        };
        self.terms.keys().flatten().map(of).max().unwrap_or(0)
    }

    /// Itself where it is of a size that is worth to be followed.
    fn bounded(self) -> Option<Self> {
        (self.terms.len() <= MAX_TERMS && self.depth() <= MAX_DEPTH).then_some(self)
    }

    /// `self + other`; `None` where it overflows or grows too large, as for all operations.
    pub fn add(&self, other: &Self) -> Option<Self> {
        let mut sum = self.clone();
        sum.constant = sum.constant.checked_add(other.constant)?;
        for (atoms, factor) in &other.terms {
            let mine = sum.terms.entry(atoms.clone()).or_default();
            *mine = mine.checked_add(*factor)?;
        }
        sum.terms.retain(|_, factor| *factor != 0);
        sum.bounded()
    }

    /// `self - other`.
    pub fn sub(&self, other: &Self) -> Option<Self> {
        self.add(&other.scaled(-1)?)
    }

    /// `self * factor`.
    pub fn scaled(&self, factor: i64) -> Option<Self> {
        if factor == 0 {
            return Some(Self::default());
        }
        let mut product = self.clone();
        product.constant = product.constant.checked_mul(factor)?;
        for mine in product.terms.values_mut() {
            *mine = mine.checked_mul(factor)?;
        }
        Some(product)
    }

    /// `self * other`.
    pub fn mul(&self, other: &Self) -> Option<Self> {
        let mut product = self.scaled(other.constant)?;
        for (atoms, factor) in &other.terms {
            let mut part = Self::default();
            for (mine, own) in &self.terms {
                let mut joined = [mine.as_slice(), atoms].concat();
                joined.sort_unstable();
                part.terms.insert(joined, own.checked_mul(*factor)?);
            }
            if self.constant != 0 {
                let factor = self.constant.checked_mul(*factor)?;
                part.terms.insert(atoms.clone(), factor);
            }
            product = product.add(&part)?;
        }
        product.bounded()
    }

    /// The largest number that divides every factor and `with`.
    pub fn shared_factor(&self, with: i64) -> i64 {
        let factors = self.terms.values().copied();
        factors.chain([self.constant]).fold(with, gcd)
    }

    /// `self / other` where the division is known to leave nothing; a divisor that is no number
    /// is taken not to be 0.
    pub fn exact_div(&self, other: &Self) -> Option<Self> {
        if self == other {
            return Some(Self::from(1));
        }
        if let Some(divisor) = other.known() {
            let divides = |factor: i64| factor.checked_rem(divisor) == Some(0);
            if !divides(self.constant) || !self.terms.values().all(|&factor| divides(factor)) {
                return None;
            }
            let mut quotient = self.clone();
            quotient.constant = quotient.constant.checked_div(divisor)?;
            for factor in quotient.terms.values_mut() {
                *factor = factor.checked_div(divisor)?;
            }
            return Some(quotient);
        }
        let (atoms, factor) = other.single().filter(|_| other.constant == 0)?;
        if self.constant != 0 || factor == 0 {
            return None;
        }
        let mut quotient = Self::default();
        for (mine, own) in &self.terms {
            let mut rest = mine.clone();
            for atom in atoms {
                rest.remove(rest.iter().position(|other| other == atom)?);
            }
            if own.checked_rem(factor)? != 0 {
                return None;
            }
            let own = own.checked_div(factor)?;
            if rest.is_empty() {
                quotient.constant = own;
            } else {
                quotient.terms.insert(rest, own);
            }
        }
        Some(quotient)
    }

    /// `self / other`, rounded down.
    pub fn floor_div(&self, other: &Self) -> Option<Self> {
        if let Some(quotient) = self.exact_div(other) {
            return Some(quotient);
        }
        match other.known() {
            Some(0) => None,
            Some(divisor) if divisor < 0 => self.scaled(-1)?.floor_div(&other.scaled(-1)?),
            Some(divisor) => self.floor_by(divisor),
            None => Self::atom(Atom::Floor(self.clone().into(), other.clone().into())).bounded(),
        }
    }

    /// Whole multiples leave the fraction, so that its numerator has factors from 0 to `divisor`.
    fn floor_by(&self, divisor: i64) -> Option<Self> {
        let mut whole = Self::from(self.constant.div_euclid(divisor));
        let mut rest = Self::from(self.constant.rem_euclid(divisor));
        for (atoms, factor) in &self.terms {
            let (quotient, left) = (factor.div_euclid(divisor), factor.rem_euclid(divisor));
            if quotient != 0 {
                whole.terms.insert(atoms.clone(), quotient);
            }
            if left != 0 {
                rest.terms.insert(atoms.clone(), left);
            }
        }
        let Some(shared) = rest.terms.values().copied().reduce(gcd) else {
            return Some(whole);
        };
        let shared = gcd(shared, divisor);
        let divisor = divisor / shared;
        rest.constant = rest.constant.div_euclid(shared);
        for factor in rest.terms.values_mut() {
            *factor /= shared;
        }
        // floor((floor(a / b) + c) / d) is floor((a + b c) / (b d)).
        let merged = match rest.single() {
            Some(([Atom::Floor(inner, by)], 1)) => by.known().filter(|by| *by > 0).and_then(|by| {
                let offset = rest.constant.checked_mul(by)?;
                Some((inner.add(&Self::from(offset))?, divisor.checked_mul(by)?))
            }),
            _ => None,
        };
        let part = match merged {
            Some((inner, divisor)) => inner.floor_by(divisor)?,
            None => Self::atom(Atom::Floor(rest.into(), Self::from(divisor).into())),
        };
        whole.add(&part)
    }

    /// `self / divisor`, rounded up; for a positive divisor.
    pub fn ceil_div(&self, divisor: i64) -> Option<Self> {
        let last = divisor.checked_sub(1)?;
        self.add(&Self::from(last))?.floor_div(&Self::from(divisor))
    }

    /// The larger of two.
    pub fn larger(&self, other: &Self) -> Option<Self> {
        self.extreme(other, Ordering::Greater, Atom::Max)
    }

    /// The smaller of two.
    pub fn smaller(&self, other: &Self) -> Option<Self> {
        self.extreme(other, Ordering::Less, Atom::Min)
    }

    fn extreme(
        &self,
        other: &Self,
        wanted: Ordering,
        make: fn(Box<Self>, Box<Self>) -> Atom,
    ) -> Option<Self> {
        let difference = self.sub(other)?;
        let known = if difference.low().is_some_and(|low| low >= 0) {
            Some(Ordering::Greater)
        } else if difference.high().is_some_and(|high| high <= 0) {
            Some(Ordering::Less)
        } else {
            None
        };
        if let Some(order) = known {
            return Some(if order == wanted { self } else { other }.clone());
        }
        let (first, second) = if self <= other {
            (self, other)
        } else {
            (other, self)
        };
        Self::atom(make(first.clone().into(), second.clone().into())).bounded()
    }

    /// A number that it never falls below.
    pub fn low(&self) -> Option<i64> {
        self.bound(false)
    }

    /// A number that it never exceeds.
    pub fn high(&self) -> Option<i64> {
        self.bound(true)
    }

    fn bound(&self, high: bool) -> Option<i64> {
        let mut sum = self.constant;
        for (atoms, factor) in &self.terms {
            let upper = high == (*factor > 0);
            let mut product = 1i64;
            for atom in atoms {
                // Bounds of a product follow from those of its factors where none is negative.
                let low = atom.low().filter(|low| *low >= 0)?;
                let bound = if upper { atom.high()? } else { low };
                product = product.checked_mul(bound)?;
            }
            sum = sum.checked_add(product.checked_mul(*factor)?)?;
        }
        Some(sum)
    }
}

impl Atom {
    fn value(&self, size: &dyn Fn(&str) -> Option<i64>) -> Option<i64> {
        Some(match self {
            Self::Symbol(name) => size(name)?,
            Self::Floor(a, b) => {
                let (a, b) = (a.value(size)?, b.value(size)?);
                let quotient = a.checked_div(b)?;
                let rounds = a.checked_rem(b)? != 0 && (a < 0) != (b < 0);
                quotient.checked_sub(i64::from(rounds))?
            }
            Self::Max(a, b) => a.value(size)?.max(b.value(size)?),
            Self::Min(a, b) => a.value(size)?.min(b.value(size)?),
        })
    }

    fn low(&self) -> Option<i64> {
        match self {
            Self::Symbol(_) => Some(0),
            Self::Floor(a, b) => {
                let (a, b) = (a.low()?, b.low()?);
                (a >= 0 && b >= 0).then_some(0)
            }
            Self::Max(a, b) => match (a.low(), b.low()) {
                (Some(a), Some(b)) => Some(a.max(b)),
                (one, other) => one.or(other),
            },
            Self::Min(a, b) => Some(a.low()?.min(b.low()?)),
        }
    }

    fn high(&self) -> Option<i64> {
        match self {
            Self::Symbol(_) | Self::Floor(..) => None,
            Self::Max(a, b) => Some(a.high()?.max(b.high()?)),
            Self::Min(a, b) => match (a.high(), b.high()) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (one, other) => one.or(other),
            },
        }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i64::try_from(a).unwrap_or(1).max(1)
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (atoms, factor) in &self.terms {
            signed(&mut text, *factor)?;
            if factor.unsigned_abs() != 1 {
                write!(text, "{}*", factor.unsigned_abs())?;
            }
            for (index, atom) in atoms.iter().enumerate() {
                let star = if index > 0 { "*" } else { "" };
                write!(text, "{star}{atom}")?;
            }
        }
        if self.constant != 0 || self.terms.is_empty() {
            signed(&mut text, self.constant)?;
            write!(text, "{}", self.constant.unsigned_abs())?;
        }
        f.write_str(&text)
    }
}

fn signed(text: &mut String, number: i64) -> fmt::Result {
    match (text.is_empty(), number < 0) {
        (true, false) => Ok(()),
        (true, true) => text.write_str("-"),
        (false, false) => text.write_str(" + "),
        (false, true) => text.write_str(" - "),
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Symbol(name) => f.write_str(name),
            Self::Max(a, b) => write!(f, "max({a}, {b})"),
            Self::Min(a, b) => write!(f, "min({a}, {b})"),
            Self::Floor(a, b) => {
                let up = b.known().map(|divisor| divisor - 1);
                if let Some(last) = up.filter(|&last| last > 0 && a.constant == last) {
                    let mut a = a.clone();
                    a.constant -= last;
                    return quotient(f, "ceil", &a, b);
                }
                quotient(f, "floor", a, b)
            }
        }
    }
}

fn quotient(f: &mut fmt::Formatter<'_>, word: &str, a: &Formula, b: &Formula) -> fmt::Result {
    let plain = |formula: &Formula| match formula.single() {
        Some((atoms, 1)) => atoms.len() == 1 && formula.constant == 0,
        Some(_) => false,
        None => formula.terms.is_empty(),
    };
    write!(f, "{word}(")?;
    if plain(a) {
        write!(f, "{a}/")?;
    } else {
        write!(f, "({a})/")?;
    }
    if plain(b) {
        write!(f, "{b})")
    } else {
        write!(f, "({b}))")
    }
}
