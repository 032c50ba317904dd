//! Names like one that was not found, for error messages.

/// `; near names: a, b`, or nothing where none is near.
pub(crate) fn near_text<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> String {
    match near_names(name, all) {
        names if names.is_empty() => String::new(),
        names => format!("; near names: {}", names.join(", ")),
    }
}

/// The names that share the most with `name`: same last part, or few letters changed.
pub(crate) fn near_names<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<(usize, &str)> = all
        .filter_map(|candidate| {
            let distance = edit_distance(name, candidate, 6)?;
            Some((distance, candidate))
        })
        .collect();
    scored.sort();
    scored
        .into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// Levenshtein distance where it is at most `limit` and less than the longer text; letter case
/// counts half, and a candidate that contains the name is near.
fn edit_distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    const MAX_CHARS: usize = 512;
    if a.len().max(b.len()) > MAX_CHARS {
        return None;
    }
    let (lower_a, lower_b) = (a.to_lowercase(), b.to_lowercase());
    if a.len() >= 3 && lower_b.contains(&lower_a) {
        return Some(limit.min(b.len().saturating_sub(a.len())));
    }
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let b_chars: Vec<char> = lower_b.chars().collect();
    let mut row: Vec<usize> = (0..=b_chars.len()).collect();
    for (i, ca) in lower_a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b_chars.iter().enumerate() {
            let substitute = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row.last()
        .copied()
        .filter(|&distance| distance <= limit && distance < a.len().max(b.len()).div_ceil(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_contain_the_name_or_differ_in_few_letters() {
        let all = ["serving_default", "train", "predict_images", "x"];
        let near = |name: &str| near_names(name, all.into_iter());
        assert_eq!(near("serving_defualt"), ["serving_default"]);
        assert_eq!(near("predict"), ["predict_images"]);
        assert_eq!(near_text("unlike_all", all.into_iter()), "");
        assert_eq!(near_text("Train", all.into_iter()), "; near names: train");
    }
}
