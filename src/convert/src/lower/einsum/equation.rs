use crate::lower::{Refusal, refuse};

/// What an axis is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// A letter of the equation.
    Letter(char),
    /// An axis that `...` stands for, counted from the last one.
    Ellipsis(usize),
}

impl Label {
    pub(super) fn is_ellipsis(self) -> bool {
        matches!(self, Self::Ellipsis(_))
    }
}

/// `ab,bc->ac` with a label for each axis.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Equation {
    pub(super) inputs: Vec<Vec<Label>>,
    pub(super) output: Vec<Label>,
}

impl Equation {
    /// Reads an equation for tensors of these ranks.
    pub(super) fn parse(text: &str, ranks: &[usize]) -> Result<Self, Refusal> {
        let unfit = |reason: &str| Refusal(format!("the equation `{text}` {reason}"));
        let (from, to) = text
            .split_once("->")
            .ok_or_else(|| unfit("has no output"))?;
        let terms: Vec<&str> = from.split(',').collect();
        if terms.len() != ranks.len() {
            return refuse(format!(
                "the equation `{text}` is not for {} tensors",
                ranks.len()
            ));
        }
        let mut widest = 0;
        let mut inputs = Vec::with_capacity(terms.len());
        for (term, &rank) in terms.into_iter().zip(ranks) {
            let letters = term.chars().filter(|c| c.is_alphabetic()).count();
            let dots = rank.checked_sub(letters);
            let dots = dots.filter(|&dots| term.contains("...") || dots == 0);
            let Some(dots) = dots else {
                return refuse(format!("`{term}` does not label {rank} axes"));
            };
            widest = widest.max(dots);
            inputs.push(labels(term, dots).ok_or_else(|| unfit("is malformed"))?);
        }
        let output = labels(to, widest).ok_or_else(|| unfit("is malformed"))?;
        let repeats =
            |labels: &Vec<Label>| (1..labels.len()).any(|i| labels[..i].contains(&labels[i]));
        if inputs.iter().chain([&output]).any(repeats) {
            return Err(unfit("takes a diagonal, which has no layer"));
        }
        Ok(Self { inputs, output })
    }
}

/// The labels of one term, its ellipsis standing for `dots` axes.
fn labels(term: &str, dots: usize) -> Option<Vec<Label>> {
    let mut labels = Vec::new();
    let mut rest = term.trim();
    while let Some(letter) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("...") {
            labels.extend((0..dots).rev().map(Label::Ellipsis));
            rest = behind;
            continue;
        }
        if letter.is_alphabetic() {
            labels.push(Label::Letter(letter));
        } else if !letter.is_whitespace() {
            return None;
        }
        rest = rest.get(letter.len_utf8()..)?;
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_letters_and_ellipses() {
        let letter = Label::Letter;
        let parsed = Equation::parse("...ij, jk -> ...ik", &[4, 2]).unwrap();
        let (outer, inner) = (Label::Ellipsis(1), Label::Ellipsis(0));
        assert_eq!(
            parsed.inputs,
            [
                vec![outer, inner, letter('i'), letter('j')],
                vec![letter('j'), letter('k')]
            ]
        );
        assert_eq!(parsed.output, [outer, inner, letter('i'), letter('k')]);
    }

    #[test]
    fn refuses_what_no_product_computes() {
        for (text, ranks) in [
            ("ii->i", &[2][..]),
            ("ij->ji", &[3]),
            ("ij", &[2]),
            ("ij,jk->ik", &[2]),
            ("i!->i", &[1]),
            ("i->ii", &[1]),
        ] {
            assert!(Equation::parse(text, ranks).is_err(), "{text}");
        }
    }
}
