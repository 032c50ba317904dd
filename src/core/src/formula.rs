//! Sizes that are named after the formula that gives them, such as `ceil(height/2)`.

/// Deeper nested formulas are given up.
const MAX_DEPTH: usize = 32;

/// The value of a formula over sizes that `known` has by name: sums and differences with spaces
/// around the sign, products with `*`, `max(a, b)`, `min(a, b)`, `floor(a/b)` and `ceil(a/b)`.
/// `None` where a name is not known, a number overflows or the result is negative. Names are those
/// of TensorFlow's nodes: they may have `/` and `-` in them, but no space, `*` or parenthesis.
pub fn evaluate(formula: &str, known: &dyn Fn(&str) -> Option<u64>) -> Option<u64> {
    u64::try_from(sum(formula, known, 0)?).ok()
}

type Known<'a> = &'a dyn Fn(&str) -> Option<u64>;

fn sum(text: &str, known: Known<'_>, depth: usize) -> Option<i64> {
    if depth > MAX_DEPTH {
        return None;
    }
    let text = text.trim();
    if let Some(size) = known(text) {
        return i64::try_from(size).ok();
    }
    let last = outside(text, |rest| {
        rest.starts_with(" + ") || rest.starts_with(" - ")
    })
    .last();
    if let Some(at) = last {
        let (left, right) = (&text[..at], &text[at + 3..]);
        let (left, right) = (sum(left, known, depth + 1)?, product(right, known, depth)?);
        return match text[at..].starts_with(" + ") {
            true => left.checked_add(right),
            false => left.checked_sub(right),
        };
    }
    match text.strip_prefix('-') {
        Some(negated) => product(negated, known, depth)?.checked_neg(),
        None => product(text, known, depth),
    }
}

fn product(text: &str, known: Known<'_>, depth: usize) -> Option<i64> {
    let mut begin = 0;
    let mut product = 1i64;
    let stars: Vec<usize> = outside(text, |rest| rest.starts_with('*')).collect();
    for end in stars.into_iter().chain([text.len()]) {
        let factor = atom(text.get(begin..end)?.trim(), known, depth + 1)?;
        product = product.checked_mul(factor)?;
        begin = end + 1;
    }
    Some(product)
}

fn atom(text: &str, known: Known<'_>, depth: usize) -> Option<i64> {
    if let Some(size) = known(text) {
        return i64::try_from(size).ok();
    }
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (word, inside) = text.strip_suffix(')')?.split_once('(')?;
    let value = |text: &str| sum(text, known, depth + 1);
    match word {
        "" => value(inside),
        "max" | "min" => {
            let at = outside(inside, |rest| rest.starts_with(", ")).next()?;
            let (a, b) = (value(&inside[..at])?, value(&inside[at + 2..])?);
            Some(if word == "max" { a.max(b) } else { a.min(b) })
        }
        "floor" | "ceil" => {
            // A name may have slashes too, so the last place where both sides are known counts.
            let places: Vec<usize> = outside(inside, |rest| rest.starts_with('/')).collect();
            let mut quotients = places.into_iter().rev().filter_map(|at| {
                let (a, b) = (value(&inside[..at])?, value(&inside[at + 1..])?);
                Some((a, b)).filter(|(_, b)| *b > 0)
            });
            let (a, b) = quotients.next()?;
            let down = a.div_euclid(b);
            let up = word == "ceil" && a.rem_euclid(b) != 0;
            down.checked_add(i64::from(up))
        }
        _ => None,
    }
}

/// Places outside all parentheses from which on `is_it` holds.
fn outside<'a>(
    text: &'a str,
    is_it: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = usize> + 'a {
    let mut open = 0usize;
    text.char_indices().filter_map(move |(at, char)| {
        match char {
            '(' => open += 1,
            ')' => open = open.saturating_sub(1),
            _ => {}
        }
        (open == 0 && is_it(&text[at..])).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<u64> {
        Some(match name {
            "h" => 45,
            "w" => 7,
            "net/in_0" => 3,
            "net" => 100,
            "a-b" => 5,
            "max" => 9,
            "huge" => u64::MAX,
            "zero" => 0,
            _ => return None,
        })
    }

    #[test]
    fn formulas_of_the_converter_have_their_values() {
        for (formula, expected) in [
            ("h", Some(45)),
            ("7", Some(7)),
            ("ceil(h/2)", Some(23)),
            ("floor(h/2)", Some(22)),
            ("ceil(ceil(h/2)/2)", Some(12)),
            ("ceil(net/in_0/2)", Some(2)),
            ("floor(net/in_0)", None),
            ("floor(net/w)", Some(14)),
            ("2*h", Some(90)),
            ("h + 1", Some(46)),
            ("h - 1", Some(44)),
            ("h - w - 1", Some(37)),
            ("h - w + 1", Some(39)),
            ("-h + 2*w + 40", Some(9)),
            ("2*h*w - 3", Some(627)),
            ("h*w + 3*ceil(w/2)", Some(327)),
            ("floor((h - 3)/2) + 1", Some(22)),
            ("floor((2*h + 1)/(w - 2))", Some(18)),
            ("floor(floor(h/4)/w)", Some(1)),
            ("max(h, w + 1)", Some(45)),
            ("min(max(h, 3), 2*w)", Some(14)),
            ("8*ceil(a-b/2)", Some(24)),
            ("max", Some(9)),
            ("max + max(max, w)", Some(18)),
            ("(h + 1)*w", Some(322)),
            ("zero", Some(0)),
        ] {
            assert_eq!(evaluate(formula, &known), expected, "{formula}");
        }
    }

    #[test]
    fn what_has_no_value_is_none() {
        let nested = format!("{}h{}", "(".repeat(200), ")".repeat(200));
        let long = format!("h{}", " + h".repeat(10_000));
        for formula in [
            "",
            " ",
            "+",
            "h +",
            " + h",
            "h * ",
            "(",
            ")",
            "()",
            "h)",
            "(h",
            "x",
            "ceil(x/2)",
            "ceil(h/0)",
            "floor(h/zero)",
            "floor(h/-2)",
            "max(h)",
            "max(h,w)",
            "w - h",
            "log(h)",
            "huge",
            "2*9223372036854775807",
            "h - é",
            "é",
            "floor(é/2)",
            &nested,
            &long,
        ] {
            assert_eq!(evaluate(formula, &known), None, "{formula}");
        }
    }
}
