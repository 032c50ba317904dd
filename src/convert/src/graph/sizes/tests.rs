use proptest::prelude::*;
use tfjet_core::Dim;

use super::*;

fn s(name: &str) -> Formula {
    Formula::symbol(name)
}

fn k(number: i64) -> Formula {
    Formula::from(number)
}

#[test]
fn formulas_have_one_form() {
    let n = s("n");
    let ceil = |f: &Formula, by: i64| f.ceil_div(by).unwrap();
    for (formula, expected) in [
        (n.add(&n), "2*n"),
        (n.scaled(2).unwrap().floor_div(&k(2)), "n"),
        (Some(ceil(&n, 2)), "ceil(n/2)"),
        (Some(ceil(&ceil(&n, 2), 2)), "ceil(n/4)"),
        (ceil(&ceil(&n, 2), 2).floor_div(&k(3)), "floor((n + 3)/12)"),
        (
            n.scaled(4).unwrap().add(&k(5)).unwrap().floor_div(&k(6)),
            "ceil((2*n)/3)",
        ),
        (n.sub(&k(1)).unwrap().floor_div(&k(2)), "ceil(n/2) - 1"),
        (
            n.mul(&s("m")).unwrap().scaled(12).unwrap().exact_div(&k(4)),
            "3*m*n",
        ),
        (n.mul(&s("m")).unwrap().floor_div(&n), "m"),
        (s("m").floor_div(&n), "floor(m/n)"),
        (n.sub(&k(1)).unwrap().larger(&k(0)), "max(0, n - 1)"),
        (n.add(&k(1)).unwrap().larger(&k(0)), "n + 1"),
        (n.smaller(&k(0)), "0"),
        (n.smaller(&k(7)), "min(7, n)"),
        (n.smaller(&k(7)).unwrap().smaller(&k(9)), "min(7, n)"),
        (n.sub(&n), "0"),
        (k(0).sub(&n), "-n"),
    ] {
        assert_eq!(formula.unwrap().to_string(), expected);
    }
    assert_eq!(n.floor_div(&k(0)), None);
    assert_eq!(n.scaled(i64::MAX).unwrap().scaled(2), None);
    assert_eq!(n.exact_div(&k(2)), None);
}

#[test]
fn a_dim_is_named_after_its_formula() {
    let mut sizes = Sizes::default();
    let n = Dim::Symbolic("x_0".into());
    let half = sizes.formula(&n).ceil_div(2).unwrap();
    let dim = sizes.dim(&half).unwrap();
    assert_eq!(dim, Dim::Symbolic("ceil(x_0/2)".into()));
    assert_eq!(sizes.formula(&dim), half);
    assert_eq!(sizes.dim(&k(-1)), None);
    let wire = WireId::new(super::super::NodeId(3), 0);
    sizes.settle(wire, &Shape(vec![Dim::Fixed(1), dim, n]));
    assert_eq!(sizes.home("x_0"), Some((wire, 2)));
    assert_eq!(sizes.home("ceil(x_0/2)"), None);
    assert_eq!(
        sizes.homes(&[half.into(), SymbolicInt::Known(2)]),
        Some(BTreeSet::from([wire]))
    );
    assert_eq!(sizes.homes(&[s("y_0").into()]), None);
}

#[test]
fn fractions_of_sizes_become_whole_again() {
    let half = SymbolicInt::from_ratio(s("n"), 2);
    assert_eq!(
        half.truncated(),
        SymbolicInt::Size(s("n").floor_div(&k(2)).unwrap())
    );
    assert_eq!(SymbolicInt::from_ratio(s("n").scaled(6).unwrap(), 4), {
        SymbolicInt::Ratio(s("n").scaled(3).unwrap(), 2)
    });
    assert_eq!(SymbolicInt::from_ratio(s("n").scaled(6).unwrap(), 3), {
        SymbolicInt::Size(s("n").scaled(2).unwrap())
    });
    let negative = SymbolicInt::from_ratio(s("n").sub(&k(3)).unwrap(), 2);
    assert_eq!(negative.truncated(), SymbolicInt::Unknown);
}

/// A random formula, with the number that plain arithmetic gives for `n` and `m`.
#[derive(Debug, Clone)]
enum Tree {
    Leaf(i64),
    N,
    M,
    Node(u8, Box<Tree>, Box<Tree>),
}

impl Tree {
    fn formula(&self) -> Option<Formula> {
        Some(match self {
            Self::Leaf(number) => k(*number),
            Self::N => s("n"),
            Self::M => s("m"),
            Self::Node(op, a, b) => {
                let (a, b) = (a.formula()?, b.formula()?);
                match op % 6 {
                    0 => a.add(&b)?,
                    1 => a.sub(&b)?,
                    2 => a.mul(&b)?,
                    3 => a.larger(&b)?,
                    4 => a.smaller(&b)?,
                    _ => a.floor_div(&b)?,
                }
            }
        })
    }

    fn value(&self, n: i64, m: i64) -> Option<i64> {
        Some(match self {
            Self::Leaf(number) => *number,
            Self::N => n,
            Self::M => m,
            Self::Node(op, a, b) => {
                let (a, b) = (a.value(n, m)?, b.value(n, m)?);
                match op % 6 {
                    0 => a + b,
                    1 => a - b,
                    2 => a.checked_mul(b)?,
                    3 => a.max(b),
                    4 => a.min(b),
                    _ if b == 0 => return None,
                    _ => a / b - i64::from(a % b != 0 && (a < 0) != (b < 0)),
                }
            }
        })
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        (-3i64..20).prop_map(Tree::Leaf),
        Just(Tree::N),
        Just(Tree::M),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        (any::<u8>(), inner.clone(), inner)
            .prop_map(|(op, a, b)| Tree::Node(op, a.into(), b.into()))
    })
}

proptest! {
    #[test]
    fn a_formula_has_the_value_of_what_it_stands_for(tree in tree(), n in 1i64..40, m in 1i64..40) {
        if let (Some(formula), Some(value)) = (tree.formula(), tree.value(n, m)) {
            let size = |name: &str| Some(if name == "n" { n } else { m });
            prop_assert_eq!(formula.value(&size), Some(value), "{}", formula);
            prop_assert!(formula.low().is_none_or(|low| low <= value), "{}", formula);
            prop_assert!(formula.high().is_none_or(|high| high >= value), "{}", formula);
        }
    }
}
