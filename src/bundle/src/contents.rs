use serde::Deserialize;
use tfjet_core::{
    Manifest, NetworkSpec, Quantization, Schedule, Step, TensorView, Value, ValueId, WeightsEntry,
    WeightsTable,
};

use crate::check::check_network;
use crate::{Bundle, BundleError, Section, SectionId, SectionKind, SectionProblem, WeightsProblem};

/// A schedule without functions.
#[derive(Deserialize)]
struct ScheduleV1 {
    values: Vec<Value>,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
    steps: Vec<Step>,
}

impl From<ScheduleV1> for Schedule {
    fn from(schedule: ScheduleV1) -> Self {
        let ScheduleV1 {
            values,
            inputs,
            outputs,
            steps,
        } = schedule;
        Self {
            values,
            inputs,
            outputs,
            steps,
            functions: Vec::new(),
        }
    }
}

/// What the sections hold. Schedule, networks, ONNX models and report of a bundle for several
/// targets are those of the one that was chosen by [`Bundle::select`]; before that they are an
/// error.
impl Bundle {
    /// What the bundle is for. Before one of several targets is chosen, what they have in common:
    /// the target is the list of their names and the summary is empty.
    ///
    /// # Errors
    /// Where the section is missing, newer or damaged.
    pub fn manifest(&self) -> Result<Manifest, BundleError> {
        let mut manifest: Manifest = self.decode(SectionKind::Manifest, "", 0)?;
        if let Some(target) = self.target()
            && let Some(info) = self.target_info(target)?
        {
            manifest.summary = info.summary;
            manifest.target = target.into();
        }
        Ok(manifest)
    }

    /// The steps to run, in an order that [`Schedule::check`] accepts.
    ///
    /// # Errors
    /// Where the section is missing, newer or damaged, or its steps cannot run in order.
    pub fn schedule(&self) -> Result<Schedule, BundleError> {
        self.schedule_for(self.lowering()?)
    }

    pub(crate) fn schedule_for(&self, target: &str) -> Result<Schedule, BundleError> {
        let id = SectionId::new(SectionKind::Schedule, target, 0);
        let schedule = match self.version_of(&id) {
            Some(1) => self
                .decode::<ScheduleV1>(SectionKind::Schedule, target, 0)?
                .into(),
            _ => self.decode::<Schedule>(SectionKind::Schedule, target, 0)?,
        };
        match schedule.check() {
            Ok(()) => Ok(schedule),
            Err(error) => Err(self.damaged(&id, error.into())),
        }
    }

    /// Where each array of weights lies. Every entry fits the weights section: inside, at a
    /// multiple of 64, as long as its shape and type take.
    ///
    /// # Errors
    /// Where the section is missing, newer or damaged, or an entry does not fit.
    pub fn weights_table(&self) -> Result<WeightsTable, BundleError> {
        let table: WeightsTable = self.decode(SectionKind::WeightsTable, "", 0)?;
        let available = self.peek(SectionKind::Weights).unwrap_or_default();
        for (weights, entry) in table.entries.iter().enumerate() {
            if let Err(problem) = view(available, entry) {
                let id = SectionId::new(SectionKind::WeightsTable, "", 0);
                return Err(self.damaged(&id, SectionProblem::Weights { weights, problem }));
            }
        }
        Ok(table)
    }

    /// The weights section's bytes, from which [`WeightsEntry::offset`] counts.
    ///
    /// # Errors
    /// Where the section is missing, newer or damaged.
    pub fn weights(&self) -> Result<&[u8], BundleError> {
        self.section(SectionKind::Weights, "", 0)
    }

    /// One array of weights, in place.
    ///
    /// # Errors
    /// As [`Bundle::weights`], and for an entry that is not of this bundle's table and does not
    /// fit.
    pub fn weights_view<'a>(
        &'a self,
        entry: &'a WeightsEntry,
    ) -> Result<TensorView<'a>, BundleError> {
        view(self.weights()?, entry).map_err(|problem| {
            let id = SectionId::new(SectionKind::Weights, "", 0);
            self.damaged(&id, SectionProblem::View(problem))
        })
    }

    /// The network of a segment. Its tensors exist and are made before they are read.
    ///
    /// # Errors
    /// Where the section is missing, newer or damaged, or its layers cannot be built in order.
    pub fn network(&self, segment: u32) -> Result<NetworkSpec, BundleError> {
        self.network_for(self.lowering()?, segment)
    }

    pub(crate) fn network_for(
        &self,
        target: &str,
        segment: u32,
    ) -> Result<NetworkSpec, BundleError> {
        let network = self.decode(SectionKind::Network, target, segment)?;
        match check_network(&network) {
            Ok(()) => Ok(network),
            Err(problem) => {
                let id = SectionId::new(SectionKind::Network, target, segment);
                Err(self.damaged(&id, problem))
            }
        }
    }

    /// In which numbers a segment's network computes; `None` where that is left to who builds an
    /// engine.
    ///
    /// # Errors
    /// Where a section is missing, newer or damaged, or this one does not fit the network.
    pub fn quantization(&self, segment: u32) -> Result<Option<Quantization>, BundleError> {
        let lowering = self.lowering()?;
        if self.quantization_section(segment).is_none() {
            return Ok(None);
        }
        let network = self.network_for(lowering, segment)?;
        self.quantization_for(lowering, segment, &network).map(Some)
    }

    pub(crate) fn quantization_for(
        &self,
        target: &str,
        segment: u32,
        network: &NetworkSpec,
    ) -> Result<Quantization, BundleError> {
        let quantization: Quantization = self.decode(SectionKind::Quantization, target, segment)?;
        match quantization.check(network) {
            Ok(()) => Ok(quantization),
            Err(error) => {
                let id = SectionId::new(SectionKind::Quantization, target, segment);
                Err(self.damaged(&id, error.into()))
            }
        }
    }

    /// The section that [`Bundle::quantization`] reads; `None` where there is none.
    pub fn quantization_section(&self, segment: u32) -> Option<&Section> {
        let id = SectionId::new(SectionKind::Quantization, self.lowering().ok()?, segment);
        self.sections().iter().find(|section| section.id == id)
    }

    /// The ONNX model of a segment, in the numbers of [`Bundle::quantization`] where that has INT8
    /// layers, else in 32-bit floats.
    ///
    /// # Errors
    /// Where the section is missing, newer or damaged.
    pub fn onnx(&self, segment: u32) -> Result<&[u8], BundleError> {
        self.section(SectionKind::Onnx, self.lowering()?, segment)
    }

    /// The partition's report, JSON text.
    ///
    /// # Errors
    /// Where the section is missing, newer or damaged, or is no text.
    pub fn report(&self) -> Result<&str, BundleError> {
        self.report_for(self.report_target()?)
    }

    pub(crate) fn report_for(&self, target: &str) -> Result<&str, BundleError> {
        let bytes = self.section(SectionKind::Report, target, 0)?;
        std::str::from_utf8(bytes).map_err(|error| {
            let id = SectionId::new(SectionKind::Report, target, 0);
            self.damaged(&id, SectionProblem::Text(error.valid_up_to()))
        })
    }

    /// Number of segments. Before one of several targets is chosen, the most that any has.
    pub fn segment_count(&self) -> usize {
        match self.lowering() {
            Ok(lowering) => self.segment_count_for(lowering),
            Err(_) => self.most_segments(),
        }
    }

    /// The section that [`Bundle::network`] reads; `None` where there is none.
    pub fn network_section(&self, segment: u32) -> Option<&Section> {
        let id = SectionId::new(SectionKind::Network, self.lowering().ok()?, segment);
        self.sections().iter().find(|section| section.id == id)
    }

    pub(crate) fn segment_count_for(&self, target: &str) -> usize {
        let of_target = |id: &SectionId| id.kind == SectionKind::Network && id.target == target;
        self.sections()
            .iter()
            .filter(|section| of_target(&section.id))
            .count()
    }
}

fn view<'a>(weights: &'a [u8], entry: &'a WeightsEntry) -> Result<TensorView<'a>, WeightsProblem> {
    let bytes = crate::format::range(entry.offset, entry.len_bytes)
        .and_then(|range| weights.get(range))
        .ok_or(WeightsProblem::End {
            offset: entry.offset,
            len_bytes: entry.len_bytes,
            available: weights.len(),
        })?;
    if !entry.offset.is_multiple_of(64) {
        return Err(WeightsProblem::Alignment(entry.offset));
    }
    Ok(TensorView::new(entry.dtype, &entry.shape, bytes)?)
}
