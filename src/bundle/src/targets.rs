use std::collections::{BTreeMap, BTreeSet};

use tfjet_core::{Manifest, TargetInfo};

use crate::{Bundle, BundleError, Section, SectionId, SectionKind, SectionProblem};

/// As which target a bundle is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum View {
    /// It is for one target, whose sections have an empty one.
    One,
    /// It is for several, and none is chosen.
    Open,
    /// The chosen one of several, and the target that its lowering's sections have.
    Chosen { name: String, lowering: String },
}

impl View {
    /// How a file is looked at first.
    pub(crate) fn of(sections: &[Section]) -> Self {
        match names(sections).next() {
            None => Self::One,
            Some(_) => Self::Open,
        }
    }
}

fn names(sections: &[Section]) -> impl Iterator<Item = &str> {
    let targets = sections
        .iter()
        .filter(|section| section.id.kind == SectionKind::Target);
    targets.map(|section| section.id.target.as_str())
}

/// Targets of a bundle.
impl Bundle {
    /// Names of the targets that the bundle is for, sorted.
    ///
    /// # Errors
    /// Where the bundle is for one target and its manifest cannot be read.
    pub fn targets(&self) -> Result<Vec<String>, BundleError> {
        match self.view {
            View::One => Ok(vec![self.manifest()?.target]),
            _ => Ok(names(self.sections()).map(str::to_owned).collect()),
        }
    }

    /// The target of several that is chosen; `None` where the bundle is for one, or none is
    /// chosen yet.
    pub fn target(&self) -> Option<&str> {
        match &self.view {
            View::Chosen { name, .. } => Some(name),
            _ => None,
        }
    }

    /// The bundle as it is for one of its targets. The file is shared, and not opened again.
    ///
    /// # Errors
    /// [`BundleError::NoTarget`], with the targets that there are; a damaged section.
    pub fn select(&self, target: &str) -> Result<Self, BundleError> {
        let targets = self.targets()?;
        if !targets.iter().any(|name| name == target) {
            return Err(BundleError::NoTarget {
                file: self.name(),
                target: target.into(),
                targets: targets.join(", "),
            });
        }
        let mut selected = self.clone();
        if let Some(info) = self.target_info(target)? {
            selected.view = View::Chosen {
                name: target.into(),
                lowering: info.lowering,
            };
        }
        Ok(selected)
    }

    /// What a target of several asks of a machine; `None` where the bundle is for one.
    ///
    /// # Errors
    /// Where the section is missing, newer or damaged.
    pub fn target_info(&self, target: &str) -> Result<Option<TargetInfo>, BundleError> {
        match self.view {
            View::One => Ok(None),
            _ => self.decode(SectionKind::Target, target, 0).map(Some),
        }
    }

    /// The target that the sections of schedule, networks and ONNX models have.
    pub(crate) fn lowering(&self) -> Result<&str, BundleError> {
        match &self.view {
            View::One => Ok(""),
            View::Chosen { lowering, .. } => Ok(lowering),
            View::Open => Err(BundleError::ChooseTarget {
                file: self.name(),
                targets: names(self.sections()).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// The target of the report's section: the chosen one where it has its own, else that of its
    /// lowering.
    pub(crate) fn report_target(&self) -> Result<&str, BundleError> {
        let lowering = self.lowering()?;
        let is_own = |own: &&str| {
            let id = SectionId::new(SectionKind::Report, own, 0);
            self.sections().iter().any(|section| section.id == id)
        };
        Ok(self.target().filter(is_own).unwrap_or(lowering))
    }

    /// The most segments that a target has, by the table alone.
    pub(crate) fn most_segments(&self) -> usize {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for Section { id, .. } in self.sections() {
            if id.kind == SectionKind::Network {
                *counts.entry(&id.target).or_default() += 1;
            }
        }
        counts.into_values().max().unwrap_or_default()
    }

    /// Each target decodes, every section is of use to one, and the manifest names all. Returns
    /// the targets of all lowerings.
    pub(crate) fn verify_targets(
        &self,
        manifest: &Manifest,
    ) -> Result<BTreeSet<String>, BundleError> {
        let names: BTreeSet<&str> = match self.view {
            View::One => BTreeSet::from([""]),
            _ => names(self.sections()).collect(),
        };
        let mut lowerings = BTreeSet::new();
        for name in &names {
            let info = self.target_info(name)?;
            lowerings.insert(info.map_or(String::new(), |info| info.lowering));
        }
        for Section { id, .. } in self.sections() {
            let is_used = match id.kind {
                SectionKind::Schedule
                | SectionKind::Network
                | SectionKind::Onnx
                | SectionKind::Quantization => lowerings.contains(&id.target),
                SectionKind::Report => {
                    names.contains(id.target.as_str()) || lowerings.contains(&id.target)
                }
                SectionKind::Manifest | SectionKind::WeightsTable | SectionKind::Weights => {
                    id.target.is_empty()
                }
                _ => true,
            };
            if !is_used {
                return Err(self.damaged(id, SectionProblem::Unused));
            }
        }
        let expected = names.into_iter().collect::<Vec<_>>().join(",");
        if self.view != View::One && manifest.target != expected {
            let found = manifest.target.clone();
            let id = SectionId::new(SectionKind::Manifest, "", 0);
            return Err(self.damaged(&id, SectionProblem::Targets { found, expected }));
        }
        Ok(lowerings)
    }
}
