//! From the shapes that a model is run with to the optimization profiles that its engines get.

mod samples;

use std::fmt;
use std::str::FromStr;

use crate::arrays::plain;
use crate::exit::Usage;
use crate::shapes::{Interface, Profile, ShapeFlag, ShapeRange, ShapeSet};

pub use samples::{SampleError, samples};

/// Most profiles of one engine: each takes its share of the build, and its own working memory.
pub const MAX_PROFILES: usize = 64;

/// What profiles are made of several shapes, as TF-TRT names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// One profile from the smallest to the largest sizes, best at the largest.
    #[default]
    Range,
    /// One profile for each shape, which takes no other.
    Optimal,
    /// Those of `Optimal`, and that of `Range` for all between.
    RangeOptimal,
}

impl Strategy {
    const ALL: [Self; 3] = [Self::Range, Self::Optimal, Self::RangeOptimal];

    /// `range`, `optimal` or `range+optimal`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::Optimal => "optimal",
            Self::RangeOptimal => "range+optimal",
        }
    }

    /// The profiles of one segment for the profiles `collected` of several runs and the `explicit`
    /// ones. Equal ones are had once. Those that take one shape come first, that of `Range` last.
    pub fn profiles(self, collected: &[Profile], explicit: &[Profile]) -> Vec<Profile> {
        let optimal = match self {
            Self::Range => &[],
            Self::Optimal | Self::RangeOptimal => collected,
        };
        let range = match self {
            Self::Optimal => None,
            Self::Range | Self::RangeOptimal => range(collected),
        };
        let mut profiles: Vec<Profile> = Vec::new();
        for profile in optimal.iter().chain(explicit).chain(&range) {
            if !profiles.contains(profile) {
                profiles.push(profile.clone());
            }
        }
        profiles
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Strategy {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|strategy| strategy.name() == name)
            .ok_or_else(|| "expected range, optimal or range+optimal".into())
    }
}

/// The profile that takes all of these, best at the largest sizes; `None` of nothing.
fn range(profiles: &[Profile]) -> Option<Profile> {
    let (first, rest) = profiles.split_first()?;
    let mut all = first.clone();
    for profile in rest {
        for ([min, _, max], [other_min, _, other_max]) in all.iter_mut().zip(profile) {
            for (size, other) in min.iter_mut().zip(other_min) {
                *size = (*size).min(*other);
            }
            for (size, other) in max.iter_mut().zip(other_max) {
                *size = (*size).max(*other);
            }
        }
    }
    if !rest.is_empty() {
        for [_, opt, max] in &mut all {
            opt.clone_from(max);
        }
    }
    Some(all)
}

/// What engines are to be built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profiles {
    /// For each segment its profiles, one at least.
    pub segments: Vec<Vec<Profile>>,
    /// What was assumed because nothing said it.
    pub assumed: Vec<String>,
}

/// The profiles of all segments.
///
/// Flags that name each tensor once are one profile, as they are. Where tensors are named several
/// times, the first flags of all go together, then the second ones, and so on, and a tensor that is
/// named once has its shape in all of them. Such sets of one shape for each tensor are collected
/// shapes, like those of `samples`, of which `strategy` makes profiles; a set with a range is a
/// profile as it is. A flag for a tensor that the samples do not name holds for all samples.
///
/// # Errors
/// [`Usage`] where flags or samples fit no tensor or each other, a size is not given, or profiles
/// are too many.
pub fn profiles(
    interface: &Interface<'_>,
    flags: &[ShapeFlag],
    samples: &[ShapeSet],
    strategy: Strategy,
) -> Result<Profiles, Usage> {
    let sets = Sets::new(flags, samples)?;
    let (mut assumed, mut collected, mut explicit) = (Vec::new(), Vec::new(), Vec::new());
    for (sets, made) in [
        (&sets.collected, &mut collected),
        (&sets.explicit, &mut explicit),
    ] {
        for set in sets {
            let profiles = interface.profiles(set)?;
            made.push(profiles.segments);
            for text in profiles.assumed {
                if !assumed.contains(&text) {
                    assumed.push(text);
                }
            }
        }
    }
    let count = collected.first().or(explicit.first()).map_or(0, Vec::len);
    let mut segments = Vec::with_capacity(count);
    for segment in 0..count {
        let of_segment = |sets: &[Vec<Profile>]| -> Vec<Profile> {
            let profiles = sets.iter().filter_map(|profiles| profiles.get(segment));
            profiles.cloned().collect()
        };
        let made = strategy.profiles(&of_segment(&collected), &of_segment(&explicit));
        if made.len() > MAX_PROFILES {
            return Err(Usage(format!(
                "segment {segment}: {} different shapes make {} profiles, and an engine has {} at \
                 most: give fewer, or --profile-strategy range",
                collected.len() + explicit.len(),
                made.len(),
                MAX_PROFILES
            )));
        }
        segments.push(made);
    }
    Ok(Profiles { segments, assumed })
}

/// What flags and samples come to.
struct Sets {
    /// Shapes of which a strategy makes profiles.
    collected: Vec<ShapeSet>,
    /// Profiles as they are.
    explicit: Vec<ShapeSet>,
}

impl Sets {
    fn new(flags: &[ShapeFlag], samples: &[ShapeSet]) -> Result<Self, Usage> {
        let groups = groups(flags);
        let sampled = |name: &str| samples.iter().any(|sample| sample.names(name));
        let mut collected = Vec::new();
        for sample in samples {
            let mut set = sample.clone();
            for group in &groups {
                match group.as_slice() {
                    [] => {}
                    [first, ..] if set.names(first.name()) => {}
                    [flag] => set.add_flag(flag),
                    [first, ..] => {
                        return Err(Usage(format!(
                            "--shape {}: given {} times, and the samples do not say which is \
                             whose: give it once",
                            first.name(),
                            group.len()
                        )));
                    }
                }
            }
            collected.push(set);
        }
        let mut explicit = Vec::new();
        let stand_alone = samples.is_empty() || flags.iter().any(|it| sampled(it.name()));
        let count = groups.iter().map(Vec::len).max().unwrap_or(1);
        if stand_alone {
            for index in 0..count {
                let (mut set, mut is_one_shape) = (ShapeSet::default(), true);
                for group in &groups {
                    let flag = match group.as_slice() {
                        [only] => only,
                        several => several.get(index).ok_or_else(|| uneven(&groups))?,
                    };
                    is_one_shape &= flag.is_one_shape();
                    set.add_flag(flag);
                }
                match is_one_shape && (count > 1 || !samples.is_empty()) {
                    true => collected.push(set),
                    false => explicit.push(set),
                }
            }
        }
        Ok(Self {
            collected,
            explicit,
        })
    }
}

/// The flags of each tensor, in order.
fn groups(flags: &[ShapeFlag]) -> Vec<Vec<&ShapeFlag>> {
    let mut groups: Vec<Vec<&ShapeFlag>> = Vec::new();
    for flag in flags {
        let is_same = |group: &&mut Vec<&ShapeFlag>| {
            let first = group.first();
            first.is_some_and(|first| plain(first.name()) == plain(flag.name()))
        };
        match groups.iter_mut().find(is_same) {
            Some(group) => group.push(flag),
            None => groups.push(vec![flag]),
        }
    }
    groups
}

fn uneven(groups: &[Vec<&ShapeFlag>]) -> Usage {
    let several = groups.iter().filter(|group| group.len() > 1);
    let counts: Vec<String> = several
        .filter_map(|group| Some(format!("`{}` {} times", group.first()?.name(), group.len())))
        .collect();
    Usage(format!(
        "--shape names {}: shapes that go together have the same place, so each tensor is to be \
         named once or equally often",
        counts.join(" and ")
    ))
}

/// The range on one line, for people: `1x3`, or `1x3:8x3:8x3`.
pub fn range_text([min, opt, max]: &ShapeRange) -> String {
    let text = |sizes: &[u64]| {
        let sizes: Vec<String> = sizes.iter().map(u64::to_string).collect();
        match sizes.is_empty() {
            true => "scalar".to_owned(),
            false => sizes.join("x"),
        }
    };
    match min == max {
        true => text(opt),
        false => format!("{}:{}:{}", text(min), text(opt), text(max)),
    }
}

#[cfg(test)]
mod tests;
