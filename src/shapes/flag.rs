use std::str::FromStr;

use super::{Extent, range_text};

/// One `--shape`: a tensor and its sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeFlag {
    pub(super) name: String,
    pub(super) extents: Vec<Extent>,
    is_one_shape: bool,
}

impl ShapeFlag {
    /// The tensor's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The best shape, or the only one.
    pub fn best(&self) -> Vec<usize> {
        let sizes = self.extents.iter().map(|[_, opt, _]| usize::try_from(*opt));
        sizes.map(|size| size.unwrap_or(usize::MAX)).collect()
    }

    /// Was it one shape, rather than smallest, best and largest?
    pub fn is_one_shape(&self) -> bool {
        self.is_one_shape
    }
}

impl FromStr for ShapeFlag {
    type Err = String;

    /// `NAME=MIN:OPT:MAX` or `NAME=SHAPE`, a shape as in `1x224x224x3`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, range) = text.rsplit_once('=').ok_or("expected NAME=SHAPE")?;
        let parts: Vec<Vec<u64>> = range.split(':').map(dims).collect::<Result<_, _>>()?;
        let [min, opt, max] = match parts.as_slice() {
            [one] => [one, one, one],
            [min, opt, max] => [min, opt, max],
            _ => return Err("expected SHAPE or MIN:OPT:MAX".into()),
        };
        if min.len() != opt.len() || opt.len() != max.len() {
            return Err("MIN, OPT and MAX have different ranks".into());
        }
        let extents: Vec<Extent> = min
            .iter()
            .zip(opt)
            .zip(max)
            .map(|((&min, &opt), &max)| [min, opt, max])
            .collect();
        if let Some(wrong) = extents
            .iter()
            .find(|[min, opt, max]| min > opt || opt > max)
        {
            return Err(format!(
                "expected MIN <= OPT <= MAX in every dimension, found {}",
                range_text(*wrong)
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            extents,
            is_one_shape: parts.len() == 1,
        })
    }
}

fn dims(text: &str) -> Result<Vec<u64>, String> {
    text.split('x')
        .map(|size| match size.parse::<u32>() {
            Ok(size) if size > 0 => Ok(u64::from(size)),
            _ => Err(format!("`{size}` in `{text}` is no size of a dimension")),
        })
        .collect()
}
