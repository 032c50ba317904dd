use tfjet_core::{Manifest, WeightsTable};

use crate::check::{check_manifest, check_network_weights, check_schedule, no_such};
use crate::{Bundle, BundleError, Section, SectionId, SectionKind, SectionProblem};

/// What [`Bundle::verify`] went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Sections whose hashes match.
    pub sections: usize,
    /// Targets that the bundle is for.
    pub targets: usize,
    /// Networks that decode and fit the schedule, those of all targets.
    pub segments: usize,
    /// Steps of the schedules of all targets, with those of functions.
    pub steps: usize,
    /// Functions of the schedules of all targets.
    pub functions: usize,
    /// Arrays of weights.
    pub weights: usize,
    /// Engines that fit their header and a segment.
    pub engines: usize,
    /// Bytes of the file.
    pub len_bytes: usize,
}

impl Bundle {
    /// Checks everything that can be checked without running: all hashes; that structured
    /// sections decode with no bytes left; that steps, networks, weights and manifest refer to
    /// what exists and agree on the number of inputs and outputs; that each section is of use to
    /// one of the targets.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify(&self) -> Result<VerifyReport, BundleError> {
        for position in 0..self.sections().len() {
            self.contents(position)?;
        }
        let manifest: Manifest = self.decode(SectionKind::Manifest, "", 0)?;
        let table = self.weights_table()?;
        let lowerings = self.verify_targets(&manifest)?;
        for section in self.sections() {
            if section.id.kind == SectionKind::Report {
                self.report_for(&section.id.target)?;
            }
        }
        let mut report = VerifyReport {
            sections: self.sections().len(),
            targets: self.targets()?.len(),
            segments: 0,
            steps: 0,
            functions: 0,
            weights: table.entries.len(),
            engines: self.verify_engines()?,
            len_bytes: self.len_bytes(),
        };
        for lowering in lowerings {
            let schedule = self.verify_lowering(&lowering, &table, &mut report)?;
            check_manifest(&manifest, &schedule).map_err(|problem| {
                self.damaged(&SectionId::new(SectionKind::Manifest, "", 0), problem)
            })?;
        }
        Ok(report)
    }

    fn verify_engines(&self) -> Result<usize, BundleError> {
        let segments = self.most_segments();
        let mut engines = 0;
        for section in self.sections() {
            let id = &section.id;
            match id.kind {
                SectionKind::Engine => {
                    self.engine(&id.target, id.index)?;
                    if id.index as usize >= segments {
                        let problem = no_such("the engine".into(), "segment", id.index, segments);
                        return Err(self.damaged(id, problem));
                    }
                    engines += 1;
                }
                SectionKind::TimingCache if id.target.is_empty() => {
                    return Err(self.damaged(id, SectionProblem::TimingTarget));
                }
                _ => {}
            }
        }
        Ok(engines)
    }

    fn verify_lowering(
        &self,
        target: &str,
        table: &WeightsTable,
        report: &mut VerifyReport,
    ) -> Result<tfjet_core::Schedule, BundleError> {
        let schedule = self.schedule_for(target)?;
        let count = self.segment_count_for(target);
        let mut networks = Vec::new();
        for segment in (0..).take(count) {
            let network = self.network_for(target, segment)?;
            check_network_weights(&network, table).map_err(|problem| {
                let id = SectionId::new(SectionKind::Network, target, segment);
                self.damaged(&id, problem)
            })?;
            let id = SectionId::new(SectionKind::Quantization, target, segment);
            if self.sections().iter().any(|section| section.id == id) {
                self.quantization_for(target, segment, &network)?;
            }
            networks.push(network);
        }
        check_schedule(&schedule, &networks, table).map_err(|problem| {
            let id = SectionId::new(SectionKind::Schedule, target, 0);
            self.damaged(&id, problem)
        })?;
        for Section { id, .. } in self.sections() {
            let place = match id.kind {
                SectionKind::Onnx => "the ONNX model",
                SectionKind::Quantization => "the quantization",
                _ => continue,
            };
            if id.target == target && id.index as usize >= count {
                let problem = no_such(place.into(), "segment", id.index, count);
                return Err(self.damaged(id, problem));
            }
        }
        report.segments += count;
        report.steps += schedule.all_steps().count();
        report.functions += schedule.functions.len();
        Ok(schedule)
    }
}
